import { Link } from "@tanstack/react-router";
import type { LiveRun } from "../../api/live-run";
import { isOpenRun, type Plan, type PlannedTask } from "../../api/shapes";
import { CopyButton } from "../../parts/CopyButton";
import { Status } from "../../parts/Status";
import { useNow } from "../../parts/use-now";
import { ago, at, count, duration, moment, money, words } from "../../text/format";
import { visible } from "../../text/visible";
import { Verbs } from "./Verbs";

interface RunHeaderProps {
    live: LiveRun;
    version: number;
    plan: Plan | undefined;
}

/** Which run this is, where it stands, what it has taken so far, and what can be done to it. */
export function RunHeader({ live, plan }: RunHeaderProps) {
    const run = live.run;
    const isOpen = run !== null && isOpenRun(run.status);
    const now = useNow(1000, isOpen);
    if (!run) return null;
    const start = at(run.started_at) ?? at(run.created_at);
    const end = at(run.ended_at);
    // While it runs, its steps are counted here: the row in the store may lag behind.
    const { open, done, failed } = isOpen && live.isLoaded ? live.totals : run.steps;
    return (
        <header className="run-head">
            <div className="run-title">
                <div className="crumbs">
                    <Link to="/" search={{}}>
                        Runs
                    </Link>
                    <span aria-hidden="true">/</span>
                    <code>{run.run_id}</code>
                    <CopyButton text={run.run_id} what="run id" />
                </div>
                <div className="run-name">
                    <h1>{visible(run.workflow)}</h1>
                    <Status status={run.status} isPill />
                    {run.reason && run.reason !== run.status ? (
                        <span className="quiet">{words(run.reason)}</span>
                    ) : null}
                    {isOpen ? <LinkState link={live.link} /> : null}
                    {live.isLoaded ? null : <span className="quiet">loading steps…</span>}
                </div>
                <dl className="run-facts">
                    <Fact name="Started" title={moment(start, true)}>
                        {ago(start, now)}
                    </Fact>
                    <Fact name="Duration">
                        {start === null ? "–" : duration((end ?? now) - start)}
                    </Fact>
                    <Fact name="Steps">
                        {count(done)} of {count(done + open + failed)}
                        {failed ? <b className="bad"> {count(failed)} failed</b> : null}
                    </Fact>
                    <Fact name="Cost">
                        <Cost run={run} plan={plan} />
                    </Fact>
                    <Fact name="Version">
                        <code>{visible(run.version)}</code>
                        {run.generation > 1 ? (
                            <span className="quiet"> recovery {run.generation - 1}</span>
                        ) : null}
                    </Fact>
                    {run.parent_run_id ? (
                        <Fact name="Child of">
                            <RunLink run={run.parent_run_id} />
                        </Fact>
                    ) : null}
                    {run.forked_from ? (
                        <Fact name="Again of">
                            <RunLink run={run.forked_from} />
                        </Fact>
                    ) : null}
                    {Object.entries(run.labels).map(([name, value]) => (
                        <Fact key={name} name={visible(name)}>
                            {visible(value)}
                        </Fact>
                    ))}
                </dl>
            </div>
            <Verbs live={live} />
        </header>
    );
}

function Fact(props: { name: string; title?: string; children: React.ReactNode }) {
    return (
        <div title={props.title}>
            <dt>{props.name}</dt>
            <dd className="number">{props.children}</dd>
        </div>
    );
}

export function RunLink({ run }: { run: string }) {
    return (
        <Link to="/runs/$run" params={{ run }} search={{}} preload={false} className="mono">
            {run}
        </Link>
    );
}

function Cost({ run, plan }: { run: NonNullable<LiveRun["run"]>; plan: Plan | undefined }) {
    const isByRules = run.model_calls === 0 && plan !== undefined && asksModels(plan.tasks);
    return (
        <>
            {money(run.cost_usd)}
            {run.is_cost_estimated ? <span className="quiet"> estimated</span> : null}
            {run.tokens ? <span className="quiet"> {count(run.tokens)} tokens</span> : null}
            {isByRules ? (
                <span className="quiet" title="No model was asked: the agents' fallbacks answered.">
                    {" "}
                    mode: rules
                </span>
            ) : null}
        </>
    );
}

const asksModels = (tasks: PlannedTask[]): boolean =>
    tasks.some(
        (task) =>
            task.uses === "llm" || task.uses.startsWith("agent:") || asksModels(task.tasks ?? []),
    );

function LinkState({ link }: { link: LiveRun["link"] }) {
    if (link === "ended") return null;
    const text = { live: "live", lost: "reconnecting…", connecting: "connecting…" }[link];
    return (
        <span className="link quiet" data-link={link} role="status">
            <i />
            {text}
        </span>
    );
}
