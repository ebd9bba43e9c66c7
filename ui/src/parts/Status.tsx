import { words } from "../text/format";
import * as icons from "./icons";

type Tone = "run" | "wait" | "good" | "bad" | "still";

interface Look {
    tone: Tone;
    icon: (props: { className?: string }) => React.JSX.Element;
    isTurning?: boolean;
}

const LOOKS: Record<string, Look> = {
    pending: { tone: "still", icon: icons.Dashed },
    queued: { tone: "still", icon: icons.Hollow },
    planning: { tone: "run", icon: icons.Turning, isTurning: true },
    running: { tone: "run", icon: icons.Turning, isTurning: true },
    retrying: { tone: "wait", icon: icons.Again },
    waiting: { tone: "wait", icon: icons.Clock },
    checkpoint_pending: { tone: "wait", icon: icons.Person },
    paused: { tone: "wait", icon: icons.Hold },
    cancelling: { tone: "wait", icon: icons.Slash },
    compensating: { tone: "run", icon: icons.Back },
    compensated: { tone: "still", icon: icons.Back },
    completed: { tone: "good", icon: icons.Check },
    failed: { tone: "bad", icon: icons.Cross },
    cancelled: { tone: "still", icon: icons.Slash },
    aborted: { tone: "still", icon: icons.Slash },
    skipped: { tone: "still", icon: icons.Over },
    crashed: { tone: "bad", icon: icons.Cross },
    timed_out: { tone: "bad", icon: icons.Clock },
    lost: { tone: "wait", icon: icons.Slash },
    in_doubt: { tone: "wait", icon: icons.Warning },
    preempted: { tone: "still", icon: icons.Back },
    approved: { tone: "good", icon: icons.Check },
    edited_and_approved: { tone: "good", icon: icons.Check },
    rejected: { tone: "bad", icon: icons.Cross },
    expired: { tone: "still", icon: icons.Clock },
    escalated: { tone: "wait", icon: icons.Warning },
};

const UNKNOWN: Look = { tone: "still", icon: icons.Hollow };

export const lookOf = (status: string): Look => LOOKS[status] ?? UNKNOWN;

const WORDS: Record<string, string> = { checkpoint_pending: "needs approval" };

export const statusWord = (status: string): string => WORDS[status] ?? words(status);

export function Glyph({ status }: { status: string }) {
    const { tone, icon: Icon, isTurning } = lookOf(status);
    return (
        <span className="glyph" data-tone={tone} role="img" aria-label={statusWord(status)}>
            <Icon className={isTurning ? "glyph turning" : "glyph"} />
        </span>
    );
}

interface StatusProps {
    status: string;
    reason?: string;
    isPill?: boolean;
}

export function Status({ status, reason, isPill }: StatusProps) {
    const { tone, icon: Icon, isTurning } = lookOf(status);
    return (
        <span className={isPill ? "status pill" : "status"} data-tone={tone}>
            <Icon className={isTurning ? "turning" : undefined} />
            {statusWord(status)}
            {reason && !isPill ? <small>{words(reason)}</small> : null}
        </span>
    );
}
