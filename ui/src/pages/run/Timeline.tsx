import { useVirtualizer } from "@tanstack/react-virtual";
import { useMemo, useRef, useState } from "react";
import type { LiveRun } from "../../api/live-run";
import { isOpenRun, isOpenStep, type Step } from "../../api/shapes";
import { Chevron, Search } from "../../parts/icons";
import { Glyph, lookOf, statusWord } from "../../parts/Status";
import { useKeys } from "../../parts/use-keys";
import { useNow } from "../../parts/use-now";
import { at, count, duration } from "../../text/format";
import { leafOf, segments } from "../../text/paths";
import { visible } from "../../text/visible";
import "../../styles/timeline.css";

interface TimelineProps {
    live: LiveRun;
    version: number;
    chosen: string;
    onChoose: (path: string) => void;
}

interface Row {
    step: Step;
    depth: number;
    children: number;
    isOpen: boolean;
}

const ROW = 30;
const OPEN_CHILDREN_MAX = 40;
const MARKS = [0, 0.25, 0.5, 0.75, 1];
const VIEWS = ["All", "Open", "Failed"] as const;
type View = (typeof VIEWS)[number];

/** Every step as a row: where it belongs, how it stands, and when it ran. */
export function Timeline({ live, version, chosen, onChoose }: TimelineProps) {
    const box = useRef<HTMLDivElement>(null);
    const [view, setView] = useState<View>("All");
    const [text, setText] = useState("");
    const [folded, setFolded] = useState<ReadonlyMap<string, boolean>>(new Map());
    const isRunOpen = live.run ? isOpenRun(live.run.status) : false;
    const now = useNow(1000, isRunOpen);
    const rows = useMemo(
        () =>
            view === "All" && !text.trim()
                ? treeRows(live, folded)
                : flatRows(live, view, text.trim().toLowerCase()),
        [live, version, view, text, folded],
    );
    const list = useVirtualizer({
        count: rows.length,
        getScrollElement: () => box.current,
        estimateSize: () => ROW,
        overscan: 10,
    });
    const scale = useScale(live, version, isRunOpen ? now : 0);
    const at_ = rows.findIndex((row) => row.step.path === chosen);
    const move = (to: number) => {
        const row = rows[Math.max(0, Math.min(rows.length - 1, to))];
        if (!row) return;
        onChoose(row.step.path);
        list.scrollToIndex(rows.indexOf(row), { align: "auto" });
    };
    const fold = (row: Row, isOpen = !row.isOpen) =>
        setFolded(new Map(folded).set(row.step.path, isOpen));
    useKeys({
        j: () => move(at_ + 1),
        k: () => move(at_ < 0 ? 0 : at_ - 1),
        l: () => rows[at_]?.children && fold(rows[at_], true),
        h: () => rows[at_]?.children && fold(rows[at_], false),
        "/": () => document.getElementById("step-filter")?.focus(),
    });
    return (
        <div className="timeline">
            <div className="timeline-tools">
                <div className="segments" role="group" aria-label="Steps shown">
                    {VIEWS.map((each) => (
                        <button
                            key={each}
                            aria-pressed={each === view}
                            onClick={() => setView(each)}
                        >
                            {each}
                        </button>
                    ))}
                </div>
                <label className="search">
                    <Search />
                    <span className="visually-hidden">Search the steps</span>
                    <input
                        id="step-filter"
                        className="input"
                        placeholder="Step"
                        spellCheck={false}
                        value={text}
                        onChange={(event) => setText(event.target.value)}
                        onKeyDown={(event) => event.key === "Escape" && event.currentTarget.blur()}
                    />
                    <kbd>/</kbd>
                </label>
                <span className="quiet number">{count(rows.length)} rows</span>
            </div>
            <div className="ruler number quiet" aria-hidden="true">
                <span>Step</span>
                <span />
                <span className="marks">
                    {MARKS.map((mark) => (
                        <i key={mark}>{mark ? duration(scale.length * mark) : "0"}</i>
                    ))}
                </span>
            </div>
            <div
                className="timeline-rows"
                ref={box}
                role="table"
                aria-label="Steps"
                aria-rowcount={rows.length}
                tabIndex={0}
            >
                <div role="rowgroup" style={{ height: list.getTotalSize() }}>
                    {list.getVirtualItems().map((item) => {
                        const row = rows[item.index];
                        if (!row) return null;
                        return (
                            <div
                                key={row.step.path}
                                role="row"
                                aria-rowindex={item.index + 1}
                                className="timeline-row"
                                data-chosen={row.step.path === chosen || undefined}
                                style={{ transform: `translateY(${item.start}px)` }}
                                onClick={() => onChoose(row.step.path)}
                            >
                                <Name
                                    live={live}
                                    row={row}
                                    isFlat={view !== "All" || text !== ""}
                                    onFold={() => fold(row)}
                                />
                                <span role="cell" className="quiet number attempts">
                                    {(row.step.attempts ?? 0) > 1 ? `×${row.step.attempts}` : ""}
                                </span>
                                <Lane step={row.step} scale={scale} now={now} />
                            </div>
                        );
                    })}
                </div>
                {rows.length === 0 ? <p className="quiet none">No step fits.</p> : null}
            </div>
        </div>
    );
}

interface NameProps {
    live: LiveRun;
    row: Row;
    isFlat: boolean;
    onFold: () => void;
}

function Name({ live, row, isFlat, onFold }: NameProps) {
    const { step, depth, children, isOpen } = row;
    const items = step.items ? `${count(live.itemsEnded(step))}/${count(step.items)}` : "";
    return (
        <span
            role="cell"
            className="name"
            style={{ paddingLeft: 12 + (isFlat ? 0 : Math.min(depth, 10) * 16) }}
        >
            {children && !isFlat ? (
                <button
                    className="fold"
                    aria-label={`${isOpen ? "Fold" : "Unfold"} ${step.path}`}
                    aria-expanded={isOpen}
                    onClick={(event) => {
                        event.stopPropagation();
                        onFold();
                    }}
                >
                    <Chevron />
                </button>
            ) : (
                <span className="fold" />
            )}
            <Glyph status={step.status} />
            <button className="as-text clip" title={visible(step.path)}>
                {visible(isFlat ? step.path : leafOf(step.path))}
            </button>
            {items ? <span className="quiet number">{items}</span> : null}
            {step.reason ? <span className="quiet clip">{step.reason}</span> : null}
        </span>
    );
}

interface Scale {
    start: number;
    length: number;
}

function Lane({ step, scale, now }: { step: Step; scale: Scale; now: number }) {
    const start = at(step.started_at);
    if (start === null || step.status === "queued" || step.status === "pending") {
        return (
            <span role="cell" className="lane quiet">
                <span className="when">{statusWord(step.status)}</span>
            </span>
        );
    }
    const end = at(step.ended_at) ?? (isOpenStep(step.status) ? Math.max(now, start) : start);
    const left = ((start - scale.start) / scale.length) * 100;
    const width = ((end - start) / scale.length) * 100;
    const text = duration(end - start);
    return (
        <span role="cell" className="lane" data-tone={lookOf(step.status).tone}>
            <i
                className="span"
                data-open={isOpenStep(step.status) || undefined}
                style={{ left: `${clamp(left)}%`, width: `max(3px, ${clamp(width)}%)` }}
            />
            <span className="when number" style={besides(left, width)}>
                {text}
            </span>
        </span>
    );
}

/** After the bar; where there is no room before it, and in a bar that takes all, inside. */
function besides(left: number, width: number): React.CSSProperties {
    const end = clamp(left + width);
    if (end < 78) return { left: `calc(${end}% + 9px)` };
    if (left > 22) return { right: `calc(${clamp(100 - left)}% + 6px)` };
    return { right: `calc(${100 - end}% + 8px)`, color: "var(--ink)" };
}

const clamp = (percent: number): number => Math.max(0, Math.min(100, percent));

function useScale(live: LiveRun, version: number, now: number): Scale {
    const run = live.run;
    const last = useMemo(() => {
        let found = 0;
        let isMoving = false;
        for (const step of live.steps.values()) {
            found = Math.max(found, at(step.ended_at) ?? at(step.started_at) ?? 0);
            isMoving ||= step.status === "running" || step.status === "retrying";
        }
        return { found, isMoving };
    }, [live, version]);
    const start = at(run?.started_at) ?? at(run?.created_at) ?? 0;
    // Days of waiting for a person would press everything that was done into one line.
    const end = Math.max(last.isMoving ? now : 0, last.found);
    return { start, length: Math.max(1, end - start) };
}

/** The tree: what holds many steps begins folded, so that the first look is an overview. */
function treeRows(live: LiveRun, folded: ReadonlyMap<string, boolean>): Row[] {
    const rows: Row[] = [];
    const add = (path: string, depth: number): void => {
        const step = live.steps.get(path);
        const below = live.children.get(path) ?? [];
        const isOpen = folded.get(path) ?? below.length <= OPEN_CHILDREN_MAX;
        if (step) rows.push({ step, depth, children: below.length, isOpen });
        if (isOpen || !step) for (const child of below) add(child, step ? depth + 1 : depth);
    };
    for (const path of live.children.get("") ?? []) add(path, 0);
    // Steps whose parent keeps no row of its own.
    for (const [parent, paths] of live.children) {
        if (parent && !live.steps.has(parent) && !live.children.get("")?.includes(parent)) {
            for (const path of paths) add(path, segments(path).length - 1);
        }
    }
    return rows;
}

function flatRows(live: LiveRun, view: View, text: string): Row[] {
    const rows: Row[] = [];
    for (const step of live.steps.values()) {
        if (view === "Open" && !isOpenStep(step.status)) continue;
        if (view === "Failed" && step.status !== "failed") continue;
        if (text && !step.path.toLowerCase().includes(text)) continue;
        rows.push({ step, depth: 0, children: 0, isOpen: false });
    }
    return rows;
}
