import { Link } from "@tanstack/react-router";
import { useMemo, useRef, useState } from "react";
import { decide } from "../../api/queries";
import type { Approval } from "../../api/shapes";
import { Notice } from "../../parts/Problem";
import { Status } from "../../parts/Status";
import { Json, pretty } from "../../parts/TextBlock";
import { useKeys } from "../../parts/use-keys";
import { useNow } from "../../parts/use-now";
import { ago, at, moment } from "../../text/format";
import { visible } from "../../text/visible";
import { Diff } from "./Diff";

interface ApprovalViewProps {
    approval: Approval;
    onDecided: () => void;
    onRefused: (problem: unknown) => void;
}

/** What is asked, the exact payload it is bound to, and the three answers. */
export function ApprovalView({ approval, onDecided, onRefused }: ApprovalViewProps) {
    const original = useMemo(() => pretty(approval.payload), [approval.payload]);
    const [edited, setEdited] = useState<string | null>(null);
    const [comment, setComment] = useState("");
    const [isRework, setRework] = useState(false);
    const [isBusy, setBusy] = useState(false);
    const editor = useRef<HTMLTextAreaElement>(null);
    const now = useNow(10_000);
    const isPending = approval.status === "pending" || approval.status === "escalated";
    const fault = edited === null ? "" : faultOf(edited);
    const isChanged = edited !== null && !fault && !isSame(edited, approval.payload);

    const send = async (decision: "approve" | "reject" | "edit" | "rework") => {
        if (isBusy) return;
        setBusy(true);
        const body: Record<string, unknown> = { decision, payload_hash: approval.payload_hash };
        if (comment.trim()) body.comment = comment.trim();
        if (decision === "edit" && edited !== null) body.payload = JSON.parse(edited);
        try {
            await decide(approval.approval_id, body);
            onDecided();
        } catch (error) {
            onRefused(error);
        } finally {
            setBusy(false);
        }
    };
    const approve = () => void send(isChanged ? "edit" : "approve");
    const reject = () => void send(isRework ? "rework" : "reject");
    const edit = () => {
        setEdited(edited ?? original);
        setTimeout(() => editor.current?.focus(), 0);
    };
    useKeys(
        {
            a: () => !fault && approve(),
            r: reject,
            e: edit,
        },
        isPending,
    );

    const expires = at(approval.expires_at);
    return (
        <section className="card approval" aria-label={`Approval ${approval.approval_id}`}>
            <header>
                <div>
                    <h2>{visible(approval.prompt || `Start ${approval.path}?`)}</h2>
                    <p className="quiet">
                        <Link
                            to="/runs/$run"
                            params={{ run: approval.run_id }}
                            search={{ step: approval.path }}
                        >
                            {approval.run_id}
                        </Link>{" "}
                        · {visible(approval.path)} · asked {ago(at(approval.created_at), now)}
                        {approval.requested_by ? ` by ${visible(approval.requested_by)}` : ""}
                        {expires !== null && isPending ? ` · expires ${ago(expires, now)}` : ""}
                        {approval.escalated_to
                            ? ` · escalated to ${visible(approval.escalated_to)}`
                            : ""}
                    </p>
                </div>
                {isPending ? null : <Status status={approval.status} isPill />}
            </header>
            <div className="approval-body">
                {isPending ? null : <Decided approval={approval} />}
                {edited === null && approval.payload === null ? (
                    <p className="quiet">
                        It carries no payload: the question is only whether to go on.
                    </p>
                ) : null}
                {edited === null && approval.payload !== null ? (
                    <Json value={approval.payload} label="Payload" />
                ) : null}
                {edited === null ? null : (
                    <>
                        <label className="field">
                            <span>Payload, edited</span>
                            <textarea
                                ref={editor}
                                className="code"
                                rows={Math.min(22, edited.split("\n").length + 1)}
                                spellCheck={false}
                                value={edited}
                                aria-invalid={Boolean(fault)}
                                onChange={(event) => setEdited(event.target.value)}
                                onKeyDown={(event) =>
                                    event.key === "Escape" && event.currentTarget.blur()
                                }
                            />
                        </label>
                        {fault ? <p className="hint bad">{visible(fault)}</p> : null}
                        {isChanged ? (
                            <Diff before={original} after={pretty(JSON.parse(edited))} />
                        ) : null}
                    </>
                )}
                {approval.edited !== null && approval.edited !== undefined ? (
                    <Diff before={original} after={pretty(approval.edited)} />
                ) : null}
                <p
                    className="hint mono clip"
                    title="The decision is bound to exactly this payload."
                >
                    sha256 {approval.payload_hash}
                </p>
            </div>
            {isPending ? (
                <footer>
                    <input
                        className="input"
                        placeholder="Comment, kept with the decision"
                        aria-label="Comment"
                        value={comment}
                        onChange={(event) => setComment(event.target.value)}
                        onKeyDown={(event) => event.key === "Escape" && event.currentTarget.blur()}
                    />
                    <label className="rework">
                        <input
                            type="checkbox"
                            checked={isRework}
                            onChange={(event) => setRework(event.target.checked)}
                        />
                        do the step again
                    </label>
                    <button className="button danger" disabled={isBusy} onClick={reject}>
                        Reject <kbd>r</kbd>
                    </button>
                    {edited === null ? (
                        <button className="button" disabled={isBusy} onClick={edit}>
                            Edit <kbd>e</kbd>
                        </button>
                    ) : (
                        <button
                            className="button"
                            disabled={isBusy}
                            onClick={() => setEdited(null)}
                        >
                            Undo edit
                        </button>
                    )}
                    <button
                        className="button primary"
                        disabled={isBusy || Boolean(fault)}
                        onClick={approve}
                    >
                        {isChanged ? "Approve edited" : "Approve"} <kbd>a</kbd>
                    </button>
                </footer>
            ) : null}
        </section>
    );
}

function Decided({ approval }: { approval: Approval }) {
    const who = approval.decided_by ? ` by ${approval.decided_by}` : "";
    return (
        <Notice tone="still" title={`Decided${who} on ${moment(at(approval.decided_at))}`}>
            {approval.comment ? <p>{visible(approval.comment)}</p> : null}
        </Notice>
    );
}

function faultOf(text: string): string {
    try {
        JSON.parse(text);
        return "";
    } catch (error) {
        return `This is no JSON yet: ${error instanceof Error ? error.message : error}`;
    }
}

const isSame = (text: string, value: unknown): boolean =>
    JSON.stringify(JSON.parse(text)) === JSON.stringify(value);
