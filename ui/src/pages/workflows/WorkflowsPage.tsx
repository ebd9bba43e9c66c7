import { useQuery } from "@tanstack/react-query";
import { Link, useNavigate, useSearch } from "@tanstack/react-router";
import { useMemo, useState } from "react";
import { LiveRun } from "../../api/live-run";
import { versionsQuery, workflowQuery, workflowsQuery } from "../../api/queries";
import type { Workflow } from "../../api/shapes";
import { Empty } from "../../parts/Empty";
import { Stack } from "../../parts/icons";
import { ProblemNotice } from "../../parts/Problem";
import { Json } from "../../parts/TextBlock";
import { useKeys } from "../../parts/use-keys";
import { useNow } from "../../parts/use-now";
import { useNarrow } from "../../parts/use-narrow";
import { ago, at, moment, plural } from "../../text/format";
import { visible } from "../../text/visible";
import "../../styles/approvals.css";
import "../../styles/run.css";
import "../../styles/workflows.css";
import { DRAWN_MAX, PlanGraph } from "../run/Graph";
import { countTasks } from "../run/layout";
import { StartDialog } from "./StartDialog";

/** What has been published: each workflow as a graph, its versions, and a way to start it. */
export function WorkflowsPage() {
    const search = useSearch({ from: "/workflows" });
    const navigate = useNavigate({ from: "/workflows" });
    const query = useQuery(workflowsQuery);
    const now = useNow(15_000);
    const items = query.data?.items ?? [];
    const index = Math.max(
        0,
        items.findIndex((each) => each.name === search.workflow),
    );
    const current = items[index];
    const choose = (name: string | undefined) =>
        void navigate({ search: { workflow: name }, replace: true });
    useKeys({
        j: () => choose(items[Math.min(index + 1, items.length - 1)]?.name),
        k: () => choose(items[Math.max(index - 1, 0)]?.name),
    });
    return (
        <div className="approvals-page">
            <div className="page-head">
                <h1>Workflows</h1>
                {query.data ? (
                    <p className="quiet">{plural(items.length, "workflow")} published</p>
                ) : null}
            </div>
            {query.isError ? <ProblemNotice error={query.error} /> : null}
            {query.isPending ? <div className="card loading" aria-busy="true" /> : null}
            {query.data && !items.length ? (
                <div className="card">
                    <Empty
                        icon={<Stack />}
                        title="No workflow is published"
                        command="podium workflows publish workflow.yaml"
                    >
                        A published workflow has a name and versions that never change, so that it
                        can be started from here, by a schedule, or by a webhook.
                    </Empty>
                </div>
            ) : null}
            {current ? (
                <div className="inbox">
                    <ul className="card inbox-list" aria-label="Workflows">
                        {items.map((each) => (
                            <li key={each.name}>
                                <button
                                    aria-current={each === current ? "true" : undefined}
                                    onClick={() => choose(each.name)}
                                >
                                    <span />
                                    <span className="what">
                                        <b className="clip">{visible(each.name)}</b>
                                        <span className="quiet mono clip">
                                            {shortVersion(each)}
                                        </span>
                                    </span>
                                    <span className="quiet number when">
                                        {ago(at(each.created_at), now)}
                                    </span>
                                </button>
                            </li>
                        ))}
                    </ul>
                    <WorkflowView key={current.name} name={current.name} />
                </div>
            ) : null}
        </div>
    );
}

function WorkflowView({ name }: { name: string }) {
    const query = useQuery(workflowQuery(name));
    const versions = useQuery(versionsQuery(name));
    const [isStarting, setStarting] = useState(false);
    const isNarrow = useNarrow();
    // Nothing has run here: every task is planned.
    const nothing = useMemo(() => new LiveRun(""), []);
    if (query.isError) return <ProblemNotice error={query.error} />;
    const workflow = query.data;
    if (!workflow) return <div className="card loading" aria-busy="true" />;
    const { tasks } = workflow.plan;
    const isDrawn = tasks.length > 0 && countTasks(tasks) <= DRAWN_MAX;
    return (
        <section className="card workflow" aria-label={`Workflow ${name}`}>
            <header>
                <div>
                    <h2>{visible(name)}</h2>
                    <p className="quiet">
                        {plural(countTasks(tasks), "task")} ·{" "}
                        <Link to="/" search={{ workflow: name }}>
                            its runs
                        </Link>
                    </p>
                </div>
                <button className="button primary" onClick={() => setStarting(true)}>
                    Start a run
                </button>
            </header>
            {isDrawn ? (
                <PlanGraph
                    live={nothing}
                    version={0}
                    plan={workflow.plan}
                    chosen=""
                    isNarrow={isNarrow}
                    onChoose={() => undefined}
                />
            ) : null}
            <div className="workflow-body">
                <section>
                    <h3>Inputs</h3>
                    {workflow.inputs ? (
                        <Json value={workflow.inputs} label="Inputs" />
                    ) : (
                        <p className="quiet">It takes none.</p>
                    )}
                </section>
                <section>
                    <h3>Versions</h3>
                    <ol className="versions">
                        {(versions.data?.items ?? []).slice(0, 50).map((each) => (
                            <Version key={each.version} version={each} />
                        ))}
                    </ol>
                </section>
            </div>
            {isStarting ? (
                <StartDialog
                    name={name}
                    inputs={workflow.inputs}
                    onClose={() => setStarting(false)}
                />
            ) : null}
        </section>
    );
}

function Version({ version }: { version: Workflow }) {
    return (
        <li>
            <span className="number">{version.number}</span>
            <code className="clip">{shortVersion(version)}</code>
            <span className="quiet">{moment(at(version.created_at))}</span>
            {version.active ? <span className="badge plain">active</span> : null}
        </li>
    );
}

/** As people name it: by its label, or by the beginning of its hash. */
const shortVersion = ({ label, version }: Workflow): string =>
    visible(label || version.slice(0, 12));
