import { useInfiniteQuery } from "@tanstack/react-query";
import { useVirtualizer } from "@tanstack/react-virtual";
import { useEffect, useMemo, useRef } from "react";
import type { LiveRun } from "../../api/live-run";
import { eventsQuery } from "../../api/queries";
import type { PodiumEvent } from "../../api/shapes";
import { ProblemNotice } from "../../parts/Problem";
import { lookOf } from "../../parts/Status";
import { at, clock } from "../../text/format";
import { visible } from "../../text/visible";

const ROW = 28;

interface EventsTabProps {
    live: LiveRun;
    version: number;
    onChoose: (step: string) => void;
}

/** The journal as it was written, oldest first; what comes now is added at the end. */
export function EventsTab({ live, version, onChoose }: EventsTabProps) {
    const box = useRef<HTMLDivElement>(null);
    const query = useInfiniteQuery({ ...eventsQuery(live.id), staleTime: Infinity });
    const events = useMemo(() => {
        const known = query.data?.pages.flatMap((page) => page.items) ?? [];
        if (query.hasNextPage) return known;
        const last = known.at(-1)?.sequence ?? 0;
        const later = live.events.filter((event) => event.sequence > last).reverse();
        return [...known, ...later];
    }, [query.data, query.hasNextPage, live, version]);
    const list = useVirtualizer({
        count: events.length,
        getScrollElement: () => box.current,
        estimateSize: () => ROW,
        overscan: 10,
    });
    const items = list.getVirtualItems();
    const last = items.at(-1)?.index ?? 0;
    const { hasNextPage, isFetchingNextPage, fetchNextPage } = query;
    useEffect(() => {
        if (hasNextPage && !isFetchingNextPage && last >= events.length - 50) void fetchNextPage();
    }, [hasNextPage, isFetchingNextPage, fetchNextPage, last, events.length]);
    if (query.isError) return <ProblemNotice error={query.error} />;
    return (
        <div
            className="events"
            ref={box}
            role="table"
            aria-label="Events"
            aria-rowcount={events.length}
            tabIndex={0}
        >
            <div role="rowgroup" style={{ height: list.getTotalSize() }}>
                {items.map((item) => {
                    const event = events[item.index];
                    if (!event) return null;
                    return (
                        <div
                            key={event.sequence}
                            role="row"
                            aria-rowindex={item.index + 1}
                            className="event"
                            style={{ transform: `translateY(${item.start}px)` }}
                        >
                            <span role="cell" className="quiet number">
                                {event.sequence}
                            </span>
                            <time role="cell" className="mono quiet">
                                {clock(at(event.time) ?? 0, true)}
                            </time>
                            <span
                                role="cell"
                                className="clip"
                                data-tone={lookOf(event.data.status ?? "").tone}
                            >
                                {event.type.replace("orchestration.", "")}
                            </span>
                            <span role="cell" className="clip">
                                {event.data.step_record_id ? (
                                    <button
                                        className="as-link clip"
                                        onClick={() => onChoose(event.subject)}
                                    >
                                        {visible(event.subject)}
                                    </button>
                                ) : null}
                            </span>
                            <span role="cell" className="clip quiet">
                                {visible(told(event))}
                            </span>
                        </div>
                    );
                })}
            </div>
        </div>
    );
}

const HIDDEN = new Set(["step_record_id", "status", "kind", "error"]);

function told({ data }: PodiumEvent): string {
    const facts = Object.entries(data)
        .filter(([name, value]) => !HIDDEN.has(name) && value !== null && value !== "")
        .map(
            ([name, value]) =>
                `${name} ${typeof value === "object" ? JSON.stringify(value) : value}`,
        );
    const { error } = data;
    if (error) facts.unshift(error.message ?? error.detail ?? error.title ?? "");
    return facts.join(" · ");
}
