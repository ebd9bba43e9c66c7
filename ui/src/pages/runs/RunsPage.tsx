import { useInfiniteQuery, useQueryClient } from "@tanstack/react-query";
import { useNavigate, useSearch } from "@tanstack/react-router";
import { useEffect, useMemo, useState } from "react";
import { runsQuery, type RunFilter } from "../../api/queries";
import { isOpenRun, type RunSummary } from "../../api/shapes";
import { follow } from "../../api/stream";
import { Empty } from "../../parts/Empty";
import { Stack } from "../../parts/icons";
import { ProblemNotice } from "../../parts/Problem";
import { useKeys } from "../../parts/use-keys";
import { plural } from "../../text/format";
import "../../styles/runs.css";
import { BulkBar } from "./BulkBar";
import { Filters } from "./Filters";
import { RunTable } from "./RunTable";

const PACE_MS = 3000;
const SLOW_PACE_MS = 15_000;
const FEED_PACE_MS = 700;

export function RunsPage() {
    const search = useSearch({ from: "/" });
    const navigate = useNavigate({ from: "/" });
    const filter: RunFilter = useMemo(
        () => ({
            status: search.status?.split(",") ?? [],
            workflow: search.workflow ?? "",
            label: search.label ?? "",
        }),
        [search.status, search.workflow, search.label],
    );
    const query = useInfiniteQuery({
        ...runsQuery(filter),
        placeholderData: (before) => before,
        // What begins and ends comes by the feed; between, only open runs move on.
        refetchInterval: (it) => {
            const pages = it.state.data?.pages ?? [];
            const isMoving = pages.some((page) =>
                page.items.some((run) => run.status === "running"),
            );
            return isMoving && pages.length < 3 ? PACE_MS : SLOW_PACE_MS;
        },
    });
    useFeed();
    const runs = useMemo(() => query.data?.pages.flatMap((page) => page.items) ?? [], [query.data]);
    const [chosen, setChosen] = useState<ReadonlySet<string>>(new Set());
    const [active, setActive] = useState(-1);

    const toggle = (run: string) =>
        setChosen((before) => {
            const after = new Set(before);
            if (!after.delete(run)) after.add(run);
            return after;
        });
    const open = (run: RunSummary | undefined) =>
        run && void navigate({ to: "/runs/$run", params: { run: run.run_id }, search: {} });
    useKeys({
        j: () => setActive(Math.min(active + 1, runs.length - 1)),
        k: () => setActive(Math.max(active - 1, 0)),
        Enter: (event) => {
            const on = (event.target as HTMLElement).closest("a, button");
            if (on instanceof HTMLElement) on.click();
            else open(runs[active]);
        },
        x: () => {
            const run = runs[active];
            if (run) toggle(run.run_id);
        },
        "/": () => document.getElementById("run-filter")?.focus(),
        Escape: () => setChosen(new Set()),
    });

    const isFiltered = filter.status.length > 0 || filter.workflow !== "" || filter.label !== "";
    const openCount = runs.filter((run) => isOpenRun(run.status)).length;
    const all = useMemo(() => runs.filter((run) => chosen.has(run.run_id)), [runs, chosen]);
    return (
        <div className="runs-page">
            <div className="page-head">
                <h1>Runs</h1>
                {query.data ? (
                    <p className="quiet number">
                        {plural(runs.length, "run")}
                        {query.hasNextPage ? " so far" : ""}, {openCount} open
                    </p>
                ) : null}
            </div>
            <Filters filter={filter} />
            {query.isError ? <ProblemNotice error={query.error} /> : null}
            {query.data && runs.length === 0 ? (
                <div className="card">
                    {isFiltered ? (
                        <Empty icon={<Stack />} title="No run fits this filter">
                            Choose “All”, or clear the search. A run that has not started yet is
                            “queued” and counts as open.
                        </Empty>
                    ) : (
                        <Empty
                            icon={<Stack />}
                            title="Nothing has run yet"
                            command="podium run examples/review/workflow.yaml"
                        >
                            A run is one execution of a workflow. Start one, and it appears here by
                            itself, with each step as it happens.
                        </Empty>
                    )}
                </div>
            ) : null}
            {runs.length ? (
                <RunTable
                    runs={runs}
                    chosen={chosen}
                    active={active}
                    onToggle={toggle}
                    onToggleAll={(on) =>
                        setChosen(new Set(on ? runs.map((run) => run.run_id) : []))
                    }
                    hasMore={query.hasNextPage}
                    isLoadingMore={query.isFetchingNextPage}
                    onMore={() => void query.fetchNextPage()}
                />
            ) : null}
            {query.isPending ? <div className="card loading" aria-busy="true" /> : null}
            {all.length ? <BulkBar runs={all} onDone={() => setChosen(new Set())} /> : null}
        </div>
    );
}

/** Ask for the list again when a run began, ended or changed its state, but not at each event. */
function useFeed(): void {
    const client = useQueryClient();
    useEffect(() => {
        let timer: ReturnType<typeof setTimeout> | null = null;
        const again = () => {
            timer ??= setTimeout(() => {
                timer = null;
                void client.invalidateQueries({ queryKey: ["runs"] });
            }, FEED_PACE_MS);
        };
        let wasLost = false;
        const stop = follow({
            path: "/v1/events?types=run,approval",
            onEvents: again,
            onLink: (link) => {
                if (link === "live" && wasLost) again();
                wasLost = link === "lost";
            },
        });
        return () => {
            stop();
            if (timer) clearTimeout(timer);
        };
    }, [client]);
}
