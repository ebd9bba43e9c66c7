import { useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { Problem } from "../../api/client";
import { act, outdated } from "../../api/queries";
import { isOpenRun, type RunSummary } from "../../api/shapes";
import { Dialog } from "../../parts/Dialog";
import { Notice } from "../../parts/Problem";
import { statusWord } from "../../parts/Status";
import { plural } from "../../text/format";
import { visible } from "../../text/visible";

interface Verb {
    name: string;
    title: string;
    takes: (status: string) => boolean;
    isDanger?: boolean;
}

const VERBS: Verb[] = [
    { name: "pause", title: "Pause", takes: (it) => ["queued", "running", "waiting"].includes(it) },
    { name: "resume", title: "Resume", takes: (it) => it === "paused" },
    { name: "retry", title: "Retry", takes: (it) => it === "failed" },
    {
        name: "cancel",
        title: "Cancel",
        takes: (it) => isOpenRun(it) && it !== "cancelling" && it !== "compensating",
        isDanger: true,
    },
    {
        name: "abort",
        title: "Abort",
        takes: (it) => isOpenRun(it) || it === "failed",
        isDanger: true,
    },
];

interface Refusal {
    run: string;
    text: string;
}

/** One verb for many runs: says first whom it would reach, then what each refused. */
export function BulkBar({ runs, onDone }: { runs: RunSummary[]; onDone: () => void }) {
    const client = useQueryClient();
    const [verb, setVerb] = useState<Verb | null>(null);
    const [isBusy, setBusy] = useState(false);
    const [told, setTold] = useState<{ done: number; verb: string; refusals: Refusal[] } | null>(
        null,
    );

    const perform = async (chosen: Verb) => {
        setBusy(true);
        const refusals: Refusal[] = [];
        let done = 0;
        for (const run of runs.filter((each) => chosen.takes(each.status))) {
            try {
                await act(run.run_id, chosen.name);
                done += 1;
            } catch (error) {
                const text = error instanceof Problem ? error.document.detail : String(error);
                refusals.push({ run: run.run_id, text: text ?? String(error) });
            }
        }
        await outdated(client);
        setBusy(false);
        setVerb(null);
        setTold({ done, verb: chosen.name, refusals });
    };

    const reached = verb ? runs.filter((run) => verb.takes(run.status)) : [];
    const others = verb ? runs.filter((run) => !verb.takes(run.status)) : [];
    return (
        <>
            <div className="bulk" role="region" aria-label="Selected runs">
                {told ? (
                    <Notice
                        tone={told.refusals.length ? "wait" : "still"}
                        title={`${told.verb}: ${plural(told.done, "run")} done, ${told.refusals.length} refused`}
                        onClose={() => setTold(null)}
                    >
                        {told.refusals.slice(0, 5).map((each) => (
                            <p key={each.run}>{visible(each.text)}</p>
                        ))}
                    </Notice>
                ) : null}
                <div className="row">
                    <strong className="number">{plural(runs.length, "run")} selected</strong>
                    {VERBS.map((each) => {
                        const count = runs.filter((run) => each.takes(run.status)).length;
                        return (
                            <button
                                key={each.name}
                                className={each.isDanger ? "button danger" : "button"}
                                disabled={!count}
                                onClick={() => setVerb(each)}
                            >
                                {each.title}
                            </button>
                        );
                    })}
                    <button className="button bare" onClick={onDone}>
                        Clear <kbd>Esc</kbd>
                    </button>
                </div>
            </div>
            {verb ? (
                <Dialog
                    title={`${verb.title} ${plural(reached.length, "run")}?`}
                    action={`${verb.title} ${plural(reached.length, "run")}`}
                    isDanger={verb.isDanger}
                    isBusy={isBusy}
                    isDisabled={!reached.length}
                    onClose={() => setVerb(null)}
                    onConfirm={() => void perform(verb)}
                >
                    <ul className="bulk-list">
                        {reached.map((run) => (
                            <li key={run.run_id}>
                                <code>{run.run_id}</code> {visible(run.workflow)}{" "}
                                <span className="quiet">{statusWord(run.status)}</span>
                            </li>
                        ))}
                    </ul>
                    {others.length ? (
                        <p>
                            {plural(others.length, "run")} would refuse and{" "}
                            {others.length === 1 ? "is" : "are"} left alone:{" "}
                            {[...new Set(others.map((run) => statusWord(run.status)))].join(", ")}.
                        </p>
                    ) : null}
                </Dialog>
            ) : null}
        </>
    );
}
