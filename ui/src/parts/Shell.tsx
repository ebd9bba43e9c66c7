import { useQuery } from "@tanstack/react-query";
import { Link, Outlet, useNavigate } from "@tanstack/react-router";
import { useEffect, useRef, useState, useSyncExternalStore } from "react";
import { Problem } from "../api/client";
import { approvalsQuery } from "../api/queries";
import { key, signOut, watchKey } from "../api/session";
import { SignIn } from "../pages/SignIn";
import { Half, Key, Moon, Sun } from "./icons";
import { ShortcutsDialog } from "./Shortcuts";
import { setTheme, theme, type Theme } from "./theme";
import { useKeys } from "./use-keys";

/** The frame around every page. Without a key that the server takes, it shows the sign-in. */
export function Shell() {
    const secret = useSyncExternalStore(watchKey, key);
    const pending = useQuery({ ...approvalsQuery("pending"), retry: false });
    const [isHelpOpen, setHelpOpen] = useState(false);
    const navigate = useNavigate();
    const prefix = useRef(0);

    useEffect(() => {
        void pending.refetch();
        // A new key is a new caller.
    }, [secret]);

    const goTo = (to: "/" | "/approvals" | "/workflows" | "/agents") => () => {
        if (Date.now() - prefix.current < 1200) void navigate({ to });
    };
    useKeys({
        g: () => (prefix.current = Date.now()),
        h: goTo("/"),
        i: goTo("/approvals"),
        w: goTo("/workflows"),
        "?": () => setHelpOpen(true),
    });

    const error = pending.error;
    if (error instanceof Problem && error.isUnauthorized) return <SignIn problem={error} />;

    const count = pending.data?.items.length ?? 0;
    const waiting = pending.data?.next_cursor ? `${count}+` : count;
    const link = pending.isError ? "lost" : pending.isSuccess ? "live" : "connecting";
    return (
        <div className="shell">
            <a className="button skip-link" href="#content">
                Skip to the content
            </a>
            <header className="top">
                <Link to="/" className="brand" aria-label="Podium, runs">
                    <Mark />
                    <span>Podium</span>
                </Link>
                <nav aria-label="Pages">
                    <Link to="/" activeOptions={{ exact: true, includeSearch: false }}>
                        Runs
                    </Link>
                    <Link to="/approvals">
                        Approvals
                        {waiting ? (
                            <span className="badge" aria-label={`${waiting} pending`}>
                                {waiting}
                            </span>
                        ) : null}
                    </Link>
                    <Link to="/workflows">Workflows</Link>
                    <Link to="/agents">Agents</Link>
                </nav>
                <div className="space" />
                <div className="facts">
                    <span className="link" data-link={link} role="status">
                        <i />
                        <span className="wide">{LINK_WORDS[link]}</span>
                    </span>
                    <ThemeButton />
                    {secret ? (
                        <button
                            className="button bare small"
                            onClick={signOut}
                            title="Forget the key of this tab"
                        >
                            <Key /> <span className="wide">Sign out</span>
                        </button>
                    ) : null}
                    <button
                        className="button bare icon small wide"
                        onClick={() => setHelpOpen(true)}
                        aria-label="Keyboard shortcuts"
                        title="Keyboard shortcuts"
                    >
                        <kbd>?</kbd>
                    </button>
                </div>
            </header>
            <main id="content" tabIndex={-1}>
                <Outlet />
            </main>
            {isHelpOpen ? <ShortcutsDialog onClose={() => setHelpOpen(false)} /> : null}
        </div>
    );
}

const LINK_WORDS = { live: "Connected", lost: "Reconnecting…", connecting: "Connecting…" };

const NEXT: Record<Theme, Theme> = { system: "light", light: "dark", dark: "system" };
const THEME_ICONS = { system: Half, light: Sun, dark: Moon };

function ThemeButton() {
    const [chosen, setChosen] = useState(theme);
    const Icon = THEME_ICONS[chosen];
    const change = () => {
        setTheme(NEXT[chosen]);
        setChosen(NEXT[chosen]);
    };
    return (
        <button
            className="button bare icon small"
            onClick={change}
            aria-label={`Colours: ${chosen}`}
            title={`Colours: ${chosen}`}
        >
            <Icon />
        </button>
    );
}

export function Mark() {
    return (
        <svg viewBox="0 0 32 32" aria-hidden="true">
            <rect width="32" height="32" rx="8" fill="#3b5bdb" />
            <path d="M7 24v-7h5v7zM13.5 24V8h5v16zM20 24V13h5v11z" fill="#fff" />
        </svg>
    );
}
