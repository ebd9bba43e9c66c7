import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { approvalsQuery, explainQuery } from "../../api/queries";
import { isOpenRun, type Run } from "../../api/shapes";
import { Command } from "../../parts/Empty";
import { lookOf } from "../../parts/Status";
import { useNow } from "../../parts/use-now";
import { ago, at } from "../../text/format";
import { visible } from "../../text/visible";

/** Why the run is where it is, in one sentence, and what would move it. */
export function Explain({ run, onChoose }: { run: Run; onChoose: (step: string) => void }) {
    const isShown = isOpenRun(run.status) ? run.status !== "running" || run.seq > 0 : false;
    const isAsked = isShown || run.status === "failed";
    const query = useQuery({ ...explainQuery(run.run_id, run.seq, isShown), enabled: isAsked });
    const approvals = useQuery({ ...approvalsQuery("pending"), enabled: isShown });
    const now = useNow(1000, isAsked);
    const told = query.data;
    if (!isAsked || !told?.sentence) return null;
    const since = at(told.since_at);
    const due = at(told.expected_at);
    const asked = approvals.data?.items.find((each) => each.run_id === run.run_id);
    const { tone, icon: Icon } = lookOf(run.status);
    return (
        <section className="explain" data-tone={tone} aria-label="Why">
            <Icon />
            <div>
                <p className="sentence">{visible(told.sentence)}</p>
                <p className="meta">
                    {told.step ? (
                        <button className="as-link" onClick={() => onChoose(told.step ?? "")}>
                            {visible(told.step)}
                        </button>
                    ) : null}
                    {since !== null ? (
                        <span>since {ago(since, now).replace(" ago", "")}</span>
                    ) : null}
                    {due !== null && due > now ? <span>expected {ago(due, now)}</span> : null}
                    {told.holder ? <span>held by {visible(told.holder)}</span> : null}
                    <code>{told.code}</code>
                </p>
                {run.error && run.status === "failed" ? <Why run={run} /> : null}
            </div>
            {asked ? (
                <Link
                    className="button primary"
                    to="/approvals"
                    search={{ approval: asked.approval_id }}
                >
                    Decide
                </Link>
            ) : null}
            {told.fix && !asked ? <Fix text={told.fix} /> : null}
        </section>
    );
}

function Why({ run }: { run: Run }) {
    const { error } = run;
    const text = error?.fix ?? "";
    return text ? <p>{visible(text)}</p> : null;
}

function Fix({ text }: { text: string }) {
    return text.startsWith("podium ") ? <Command text={text} /> : <p>{visible(text)}</p>;
}
