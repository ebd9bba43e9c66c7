import { useQuery } from "@tanstack/react-query";
import { useNavigate, useParams, useSearch } from "@tanstack/react-router";
import { useEffect, useMemo } from "react";
import { type LiveRun, useLiveRun } from "../../api/live-run";
import { planQuery } from "../../api/queries";
import { Empty } from "../../parts/Empty";
import { Search } from "../../parts/icons";
import { Notice, ProblemNotice } from "../../parts/Problem";
import { useKeys } from "../../parts/use-keys";
import { useNarrow } from "../../parts/use-narrow";
import { count } from "../../text/format";
import { planPath } from "../../text/paths";
import "../../styles/run.css";
import { CostTab } from "./CostTab";
import { DataTab } from "./DataTab";
import { EventsTab } from "./EventsTab";
import { Explain } from "./Explain";
import { DRAWN_MAX, PlanGraph } from "./Graph";
import { countTasks } from "./layout";
import { LogsTab } from "./LogsTab";
import { RunHeader } from "./RunHeader";
import { StepPanel } from "./StepPanel";
import { Timeline } from "./Timeline";

const TABS = ["graph", "timeline", "events", "data", "cost", "logs"] as const;
type Tab = (typeof TABS)[number];

const TITLES: Record<Tab, string> = {
    graph: "Graph",
    timeline: "Timeline",
    events: "Events",
    data: "Input and output",
    cost: "Cost",
    logs: "Logs",
};

export function RunPage() {
    const { run: id } = useParams({ from: "/runs/$run" });
    const search = useSearch({ from: "/runs/$run" });
    const navigate = useNavigate({ from: "/runs/$run" });
    const [live, version] = useLiveRun(id);
    const plan = useQuery(planQuery(id));
    const isNarrow = useNarrow();

    const tasks = plan.data ? countTasks(plan.data.tasks) : 0;
    const isDrawn = tasks <= DRAWN_MAX;
    const first: Tab = plan.data && (!isDrawn || tasks === 0) ? "timeline" : "graph";
    const tab = TABS.find((each) => each === search.tab) ?? first;
    const show = (next: Tab) =>
        void navigate({ search: (before) => ({ ...before, tab: next }), replace: true });
    const choose = (step: string) =>
        void navigate({
            search: (before) => ({ ...before, step: step || undefined }),
            replace: true,
        });

    useEffect(() => {
        document.title = live.run ? `${live.run.workflow}: ${live.run.status} · Podium` : "Podium";
        return () => {
            document.title = "Podium";
        };
    }, [live.run?.workflow, live.run?.status]);
    useKeys({
        ...Object.fromEntries(TABS.map((each, index) => [String(index + 1), () => show(each)])),
        Escape: () => choose(""),
    });

    const chosen = useMemo(() => pick(live, search.step ?? ""), [live, search.step, version]);
    if (!live.run) {
        if (live.problem?.status === 404 || live.problem?.status === 400) {
            return (
                <div className="card">
                    <Empty
                        icon={<Search />}
                        title="There is no such run"
                        command="podium runs list"
                    >
                        {live.problem.document.detail}
                    </Empty>
                </div>
            );
        }
        if (live.problem) return <ProblemNotice error={live.problem} />;
        return <div className="card loading" aria-busy="true" aria-label="Loading the run" />;
    }
    const steps = live.steps.size;
    return (
        <div className="run-page">
            <RunHeader live={live} version={version} plan={plan.data} />
            {live.link === "lost" ? (
                <Notice
                    tone="wait"
                    title="The connection was lost; this page shows what was last known."
                >
                    <p>It reconnects by itself and goes on where it stopped. Nothing is missed.</p>
                </Notice>
            ) : null}
            <Explain run={live.run} onChoose={(step) => choose(step)} />
            <div className="run-body" data-panel={chosen ? "" : undefined}>
                <section className="card run-views">
                    <div className="tabs" role="tablist" aria-label="Views of the run">
                        {TABS.map((each) => (
                            <button
                                key={each}
                                role="tab"
                                id={`tab-${each}`}
                                aria-selected={each === tab}
                                aria-controls="run-view"
                                tabIndex={each === tab ? 0 : -1}
                                onClick={() => show(each)}
                                onKeyDown={(event) => moveTab(event, tab, show)}
                            >
                                {TITLES[each]}
                                {each === "timeline" && steps ? (
                                    <span className="badge plain">{count(steps)}</span>
                                ) : null}
                            </button>
                        ))}
                    </div>
                    <div
                        id="run-view"
                        role="tabpanel"
                        aria-labelledby={`tab-${tab}`}
                        tabIndex={tab === "data" || tab === "cost" ? 0 : -1}
                    >
                        {tab === "graph" && !isDrawn ? (
                            <Empty
                                icon={<Search />}
                                title={`${count(tasks)} tasks are too many for a picture`}
                            >
                                The timeline lists every step and can be searched.
                            </Empty>
                        ) : null}
                        {tab === "graph" && isDrawn && plan.data ? (
                            <PlanGraph
                                live={live}
                                version={version}
                                plan={plan.data}
                                chosen={chosen?.path ?? ""}
                                isNarrow={isNarrow}
                                onChoose={choose}
                            />
                        ) : null}
                        {tab === "graph" && plan.isError ? (
                            <ProblemNotice error={plan.error} />
                        ) : null}
                        {tab === "timeline" ? (
                            <Timeline
                                live={live}
                                version={version}
                                chosen={chosen?.path ?? ""}
                                onChoose={choose}
                            />
                        ) : null}
                        {tab === "events" ? (
                            <EventsTab live={live} version={version} onChoose={choose} />
                        ) : null}
                        {tab === "data" ? <DataTab run={live.run} /> : null}
                        {tab === "cost" ? (
                            <CostTab live={live} version={version} onChoose={choose} />
                        ) : null}
                        {tab === "logs" ? <LogsTab run={live.run} /> : null}
                    </div>
                </section>
                {chosen ? (
                    <StepPanel
                        live={live}
                        step={chosen}
                        plan={plan.data}
                        onClose={() => choose("")}
                    />
                ) : null}
            </div>
        </div>
    );
}

function moveTab(event: React.KeyboardEvent, tab: Tab, show: (next: Tab) => void): void {
    const move = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!move) return;
    const next = TABS[(TABS.indexOf(tab) + move + TABS.length) % TABS.length] ?? tab;
    show(next);
    document.getElementById(`tab-${next}`)?.focus();
}

const WORTH = ["failed", "checkpoint_pending", "running", "retrying", "waiting"];

/** The step at a path, or the one that says most among those of a place in the plan. */
function pick(live: LiveRun, path: string) {
    if (!path) return undefined;
    const own = live.steps.get(path);
    if (own || path.includes("[")) return own;
    const all = [...live.steps.values()].filter((step) => planPath(step.path) === path);
    return all.find((step) => WORTH.includes(step.status)) ?? all[0];
}
