import { useQuery, useQueryClient } from "@tanstack/react-query";
import { useVirtualizer } from "@tanstack/react-virtual";
import { useEffect, useRef } from "react";
import { logsQuery } from "../../api/queries";
import { isOpenRun, type LogLine, type Run } from "../../api/shapes";
import { Empty } from "../../parts/Empty";
import { Stack } from "../../parts/icons";
import { ProblemNotice } from "../../parts/Problem";
import { at, clock } from "../../text/format";
import { visible } from "../../text/visible";

const ROW = 22;
const STEP_LINES = 100;

function useLogs(run: Run, step: string) {
    return useQuery(logsQuery(useQueryClient(), run.run_id, step, isOpenRun(run.status)));
}

/** What the attempts of a run printed and logged; at its end it stays at the newest line. */
export function LogsTab({ run }: { run: Run }) {
    const query = useLogs(run, "");
    const lines = query.data ?? [];
    const box = useRef<HTMLDivElement>(null);
    const isAtEnd = useRef(true);
    const list = useVirtualizer({
        count: lines.length,
        getScrollElement: () => box.current,
        estimateSize: () => ROW,
        overscan: 20,
    });
    useEffect(() => {
        if (isAtEnd.current && lines.length) list.scrollToIndex(lines.length - 1, { align: "end" });
        // Only when lines came.
    }, [lines.length]);
    if (query.isError) return <ProblemNotice error={query.error} />;
    if (!lines.length) {
        return (
            <Empty icon={<Stack />} title={query.isPending ? "Loading…" : "No lines yet"}>
                What a task prints or logs appears here, by attempt, while it runs.
            </Empty>
        );
    }
    return (
        <div
            className="logs"
            ref={box}
            tabIndex={0}
            role="log"
            aria-label="Logs"
            onScroll={({ currentTarget: it }) => {
                isAtEnd.current = it.scrollTop + it.clientHeight > it.scrollHeight - 2 * ROW;
            }}
        >
            <div style={{ height: list.getTotalSize() }}>
                {list.getVirtualItems().map((item) => {
                    const line = lines[item.index];
                    return line ? (
                        <div
                            key={line.number}
                            ref={list.measureElement}
                            data-index={item.index}
                            className="log-row"
                            style={{ transform: `translateY(${item.start}px)` }}
                        >
                            <Line line={line} isOfRun />
                        </div>
                    ) : null;
                })}
            </div>
        </div>
    );
}

/** The newest lines of one step. */
export function StepLogs({ run, step }: { run: Run; step: string }) {
    const query = useLogs(run, step);
    const lines = query.data ?? [];
    if (query.isError) return <ProblemNotice error={query.error} />;
    if (!lines.length) return <p className="quiet">Nothing was printed or logged.</p>;
    return (
        <div className="logs" tabIndex={0} role="log" aria-label="Logs of the step">
            {lines.length > STEP_LINES ? (
                <p className="quiet">The last {STEP_LINES} lines</p>
            ) : null}
            {lines.slice(-STEP_LINES).map((line) => (
                <Line key={line.number} line={line} />
            ))}
        </div>
    );
}

function Line({ line, isOfRun }: { line: LogLine; isOfRun?: boolean }) {
    return (
        <p className="log" data-level={line.level}>
            <time>{clock(at(line.time) ?? 0, true)}</time>
            <b>{line.level}</b>
            {isOfRun ? (
                <span className="quiet clip" title={visible(line.step)}>
                    {visible(line.step)}
                    {line.attempt > 1 ? ` ×${line.attempt}` : ""}
                </span>
            ) : null}
            <span className="text">{visible(line.text)}</span>
        </p>
    );
}
