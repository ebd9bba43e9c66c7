import { type ReactNode } from "react";
import { Problem } from "../api/client";
import { visible } from "../text/visible";
import { Close, Info, Warning } from "./icons";
import { statusWord } from "./Status";

interface NoticeProps {
    tone: "bad" | "wait" | "run" | "still";
    title: string;
    children?: ReactNode;
    onClose?: () => void;
    isAlert?: boolean;
}

export function Notice({ tone, title, children, onClose, isAlert }: NoticeProps) {
    return (
        <div className="problem" data-tone={tone} role={isAlert ? "alert" : undefined}>
            {tone === "run" || tone === "still" ? <Info /> : <Warning />}
            <div>
                <strong>{visible(title)}</strong>
                {children}
            </div>
            {onClose ? (
                <button className="button bare icon small" onClick={onClose} aria-label="Dismiss">
                    <Close />
                </button>
            ) : null}
        </div>
    );
}

/** What the server refused, in the words it used, with what it would take instead. */
export function ProblemNotice({ error, onClose }: { error: unknown; onClose?: () => void }) {
    if (!(error instanceof Problem)) {
        return <Notice tone="bad" title={String(error)} onClose={onClose} isAlert />;
    }
    const { title, detail, why, fix, code, request_id: request, state, allowed } = error.document;
    return (
        <Notice
            tone={error.status === 0 ? "wait" : "bad"}
            title={detail || title || error.message}
            onClose={onClose}
            isAlert
        >
            {why ? <p>{visible(why)}</p> : null}
            {state ? (
                <p>
                    It is {statusWord(state)} now
                    {allowed?.length ? `; it takes: ${allowed.join(", ")}.` : " and takes no verb."}
                </p>
            ) : null}
            {fix ? <p>{visible(fix)}</p> : null}
            {error.status ? (
                <p className="meta mono">
                    {[error.status, code, request].filter(Boolean).join(" · ")}
                </p>
            ) : null}
        </Notice>
    );
}
