import { useNavigate } from "@tanstack/react-router";
import { useState } from "react";
import { startRun } from "../../api/queries";
import { Dialog } from "../../parts/Dialog";
import { ProblemNotice } from "../../parts/Problem";
import { pretty } from "../../parts/TextBlock";
import { visible } from "../../text/visible";

interface StartDialogProps {
    name: string;
    inputs: Record<string, unknown> | null;
    onClose: () => void;
}

/** Asks for the input of a run, begun with the defaults, and leads to the run. */
export function StartDialog({ name, inputs, onClose }: StartDialogProps) {
    const navigate = useNavigate();
    const [text, setText] = useState(() => pretty(defaultsOf(inputs)));
    const [problem, setProblem] = useState<unknown>(null);
    const [isBusy, setBusy] = useState(false);
    const isWrong = !isJson(text);
    const start = async () => {
        setBusy(true);
        try {
            const told = await startRun(name, JSON.parse(text));
            void navigate({ to: "/runs/$run", params: { run: told.run_id }, search: {} });
        } catch (error) {
            setProblem(error);
            setBusy(false);
        }
    };
    return (
        <Dialog
            title={`Start ${visible(name)}`}
            action="Start"
            isBusy={isBusy}
            isDisabled={isWrong}
            onClose={onClose}
            onConfirm={() => void start()}
        >
            <label className="field">
                <span>Input</span>
                <textarea
                    className="code"
                    rows={Math.min(16, text.split("\n").length + 1)}
                    spellCheck={false}
                    value={text}
                    aria-invalid={isWrong}
                    onChange={(event) => setText(event.target.value)}
                />
                <small>{isWrong ? "This is no JSON yet." : "JSON, begun with the defaults."}</small>
            </label>
            {problem ? <ProblemNotice error={problem} onClose={() => setProblem(null)} /> : null}
        </Dialog>
    );
}

const BLANKS: Record<string, unknown> = {
    array: [],
    boolean: false,
    integer: 0,
    number: 0,
    object: {},
    string: "",
};

interface InputSchema {
    type?: string;
    default?: unknown;
}

function defaultsOf(inputs: Record<string, unknown> | null): Record<string, unknown> {
    const found: Record<string, unknown> = {};
    for (const [name, schema] of Object.entries(inputs ?? {})) {
        const known = (schema ?? {}) as InputSchema;
        found[name] = known.default ?? BLANKS[known.type ?? ""] ?? null;
    }
    return found;
}

function isJson(text: string): boolean {
    try {
        JSON.parse(text);
        return true;
    } catch {
        return false;
    }
}
