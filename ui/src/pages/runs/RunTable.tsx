import { Link } from "@tanstack/react-router";
import { useWindowVirtualizer } from "@tanstack/react-virtual";
import { memo, useEffect, useRef } from "react";
import { isOpenRun, type RunSummary } from "../../api/shapes";
import { Status } from "../../parts/Status";
import { useNow } from "../../parts/use-now";
import { ago, at, duration, moment, money } from "../../text/format";
import { visible } from "../../text/visible";

interface RunTableProps {
    runs: RunSummary[];
    chosen: ReadonlySet<string>;
    active: number;
    onToggle: (run: string) => void;
    onToggleAll: (on: boolean) => void;
    hasMore: boolean;
    isLoadingMore: boolean;
    onMore: () => void;
}

const ROW = 41;

/** The list of runs; only the rows in view are in the page, however many were loaded. */
export function RunTable(props: RunTableProps) {
    const { runs, chosen, active, onToggle, onToggleAll, hasMore, isLoadingMore, onMore } = props;
    const box = useRef<HTMLDivElement>(null);
    const now = useNow(1000);
    const rows = useWindowVirtualizer({
        count: runs.length,
        estimateSize: () => ROW,
        overscan: 8,
        scrollMargin: box.current?.offsetTop ?? 0,
    });
    const items = rows.getVirtualItems();
    const last = items.at(-1)?.index ?? 0;
    useEffect(() => {
        if (hasMore && !isLoadingMore && last >= runs.length - 20) onMore();
    }, [hasMore, isLoadingMore, last, runs.length, onMore]);
    useEffect(() => {
        if (active >= 0) rows.scrollToIndex(active, { align: "auto" });
        // Only when the active row moves.
    }, [active]);

    const isAll = chosen.size > 0 && runs.every((run) => chosen.has(run.run_id));
    return (
        <div
            className="card run-table"
            role="table"
            aria-label="Runs"
            aria-rowcount={runs.length + 1}
        >
            <div role="rowgroup">
                <div className="run-row head" role="row" aria-rowindex={1}>
                    <span role="columnheader">
                        <input
                            type="checkbox"
                            aria-label="Select all runs listed"
                            checked={isAll}
                            onChange={(event) => onToggleAll(event.target.checked)}
                        />
                    </span>
                    <span role="columnheader">Status</span>
                    <span role="columnheader">Workflow</span>
                    <span role="columnheader" className="c-id">
                        Run
                    </span>
                    <span role="columnheader" className="c-steps">
                        Steps
                    </span>
                    <span role="columnheader" className="c-time">
                        Started
                    </span>
                    <span role="columnheader" className="end">
                        Duration
                    </span>
                    <span role="columnheader" className="end c-cost">
                        Cost
                    </span>
                </div>
            </div>
            <div role="rowgroup" ref={box} className="rows" style={{ height: rows.getTotalSize() }}>
                {items.map((item) => {
                    const run = runs[item.index];
                    if (!run) return null;
                    return (
                        <div
                            key={run.run_id}
                            role="row"
                            aria-rowindex={item.index + 2}
                            className="run-row"
                            data-active={item.index === active || undefined}
                            data-chosen={chosen.has(run.run_id) || undefined}
                            style={{
                                transform: `translateY(${item.start - rows.options.scrollMargin}px)`,
                            }}
                        >
                            <Cells
                                run={run}
                                now={isOpenRun(run.status) ? now : minute(now)}
                                isChosen={chosen.has(run.run_id)}
                                onToggle={onToggle}
                            />
                        </div>
                    );
                })}
            </div>
        </div>
    );
}

/** A closed run need not be drawn again each second: its “5 min ago” moves by the minute. */
const minute = (now: number): number => now - (now % 15_000);

interface CellsProps {
    run: RunSummary;
    now: number;
    isChosen: boolean;
    onToggle: (run: string) => void;
}

const Cells = memo(function Cells({ run, now, isChosen, onToggle }: CellsProps) {
    const start = at(run.started_at) ?? at(run.created_at);
    const end = at(run.ended_at) ?? now;
    const labels = Object.entries(run.labels);
    return (
        <>
            <span role="cell">
                <input
                    type="checkbox"
                    checked={isChosen}
                    aria-label={`Select ${run.run_id}`}
                    onChange={() => onToggle(run.run_id)}
                />
            </span>
            <span role="cell">
                <Status status={run.status} reason={run.reason === run.status ? "" : run.reason} />
            </span>
            <span role="cell" className="c-name clip">
                <Link to="/runs/$run" params={{ run: run.run_id }} search={{}} preload={false}>
                    {visible(run.workflow)}
                </Link>
                {run.forked_from ? <small className="quiet"> again</small> : null}
                {run.parent_run_id ? <small className="quiet"> child run</small> : null}
                {labels.map(([name, value]) => (
                    <span key={name} className="label">
                        {visible(`${name}=${value}`)}
                    </span>
                ))}
            </span>
            <span role="cell" className="c-id mono quiet clip">
                {run.run_id}
            </span>
            <span role="cell" className="c-steps">
                <Progress steps={run.steps} />
            </span>
            <span role="cell" className="c-time number quiet" title={moment(start, true)}>
                {ago(start, Math.max(now, end))}
            </span>
            <span role="cell" className="end number">
                {start === null ? "–" : duration(end - start)}
            </span>
            <span role="cell" className="end number quiet c-cost">
                {money(run.cost_usd)}
            </span>
        </>
    );
});

function Progress({ steps }: { steps: RunSummary["steps"] }) {
    const all = steps.done + steps.failed + steps.open;
    if (!all) return <span className="quiet">–</span>;
    const part = (value: number) => `${(value / all) * 100}%`;
    return (
        <span className="progress">
            <span className="bar" aria-hidden="true">
                <i data-tone="good" style={{ width: part(steps.done) }} />
                <i data-tone="bad" style={{ width: part(steps.failed) }} />
            </span>
            <span className="number quiet">
                {steps.done}/{all}
                {steps.failed ? <b> {steps.failed} failed</b> : null}
            </span>
        </span>
    );
}
