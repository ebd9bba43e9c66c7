import { type FormEvent, useState } from "react";
import { Problem } from "../api/client";
import { key, signIn } from "../api/session";
import { Command } from "../parts/Empty";
import { ProblemNotice } from "../parts/Problem";
import { Mark } from "../parts/Shell";
import "../styles/sign-in.css";

/** Asks for a key. It stays in this tab and is sent as a header: no cookie, nothing to forge. */
export function SignIn({ problem }: { problem: Problem }) {
    const [value, setValue] = useState("");
    const submit = (event: FormEvent) => {
        event.preventDefault();
        if (value.trim()) signIn(value.trim());
    };
    return (
        <main className="sign-in">
            <form className="card" onSubmit={submit}>
                <Mark />
                <h1>Sign in to Podium</h1>
                <p className="quiet">
                    With an API key. It is kept in this tab only, until you close it.
                </p>
                <label className="field">
                    <span>API key</span>
                    <input
                        className="input mono"
                        type="password"
                        autoComplete="off"
                        autoFocus
                        spellCheck={false}
                        placeholder="sk_…"
                        value={value}
                        onChange={(event) => setValue(event.target.value)}
                    />
                </label>
                <button className="button primary" disabled={!value.trim()}>
                    Sign in
                </button>
                {key() ? <ProblemNotice error={problem} /> : null}
                <div className="make">
                    <p className="quiet">No key yet? On the machine that runs the server:</p>
                    <Command text="podium keys create --role operator" />
                </div>
            </form>
        </main>
    );
}
