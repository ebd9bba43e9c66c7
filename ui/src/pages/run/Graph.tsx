import {
    Background,
    BackgroundVariant,
    BaseEdge,
    Controls,
    type Edge,
    type EdgeProps,
    Handle,
    MarkerType,
    type Node,
    type NodeProps,
    Position,
    ReactFlow,
} from "@xyflow/react";
import "@xyflow/react/dist/base.css";
import { memo, useMemo } from "react";
import type { LiveRun } from "../../api/live-run";
import type { Plan, PlannedTask, Step, StepStatus } from "../../api/shapes";
import { isOpenRun } from "../../api/shapes";
import { Glyph, lookOf, statusWord } from "../../parts/Status";
import { useNow } from "../../parts/use-now";
import { at, count, duration, plural } from "../../text/format";
import { visible } from "../../text/visible";
import {
    countTasks,
    draw,
    type Direction,
    pathOf,
    type Picture,
    type Placed,
    type Point,
} from "./layout";
import "../../styles/graph.css";

/** More than this nobody reads as a picture; the timeline shows them all. */
export const DRAWN_MAX = 300;

interface GraphProps {
    live: LiveRun;
    version: number;
    plan: Plan;
    chosen: string;
    isNarrow: boolean;
    onChoose: (path: string) => void;
}

interface TaskData extends Record<string, unknown> {
    task: PlannedTask;
    path: string;
    status: StepStatus | "planned";
    facts: string;
    counts: [StepStatus, number][];
    total: number;
    isBlock: boolean;
    direction: Direction;
}

type TaskNode = Node<TaskData, "task">;
type WireEdge = Edge<{ bends: Point[]; direction: Direction }, "wire">;

/** The plan as a picture, with what has become of each task. */
export function PlanGraph({ live, version, plan, chosen, isNarrow, onChoose }: GraphProps) {
    const direction: Direction = isNarrow ? "TB" : "LR";
    const tasks = useMemo(() => tasksOf(plan, live), [plan, live, plan.tasks.length ? 0 : version]);
    const picture = useMemo(() => draw(tasks, direction), [tasks, direction]);
    const isOpen = live.run ? isOpenRun(live.run.status) : false;
    const now = useNow(1000, isOpen);
    const firsts = useMemo(() => firstSteps(live, picture), [live, picture, version]);
    const nodes = picture.nodes.map((placed) =>
        nodeOf(placed, live, firsts.get(placed.path), now, direction, chosen),
    );
    const isPlanned = nodes.some((node) => node.data.status === "planned");
    const edges: WireEdge[] = picture.wires.map(({ from, to, bends }) => {
        const isTaken = standing(live, from) === "completed";
        return {
            id: `${from}→${to}`,
            type: "wire",
            data: { bends, direction },
            source: from,
            target: to,
            focusable: false,
            className: isTaken ? "taken" : "",
            markerEnd: { type: MarkerType.ArrowClosed, width: 14, height: 14 },
        };
    });
    return (
        <div className="graph" data-direction={direction}>
            <ReactFlow
                nodes={nodes}
                edges={edges}
                nodeTypes={NODE_TYPES}
                edgeTypes={EDGE_TYPES}
                // A click and the Enter key alike.
                onNodesChange={(changes) => {
                    const chosen = changes.find(
                        (change) => change.type === "select" && change.selected,
                    );
                    if (chosen?.type === "select")
                        onChoose(firsts.get(chosen.id)?.path ?? chosen.id);
                }}
                nodesDraggable={false}
                nodesConnectable={false}
                edgesFocusable={false}
                minZoom={0.15}
                maxZoom={1.4}
                fitView
                fitViewOptions={{ padding: 0.12, maxZoom: 1 }}
                onlyRenderVisibleElements={nodes.length > 120}
                zoomOnScroll={false}
                panOnScroll={false}
                preventScrolling={false}
                proOptions={{ hideAttribution: true }}
                ariaLabelConfig={{ "node.a11yDescription.default": "Enter shows the step." }}
                aria-label="Graph of the plan"
            >
                <Background variant={BackgroundVariant.Dots} gap={24} size={1.2} />
                <Controls showInteractive={false} position="bottom-right" />
            </ReactFlow>
            <p className="legend quiet">
                {plan.tasks.length
                    ? `${plural(countTasks(tasks), "task")}, ${plural(live.steps.size, "step")} so far.`
                    : "A durable function has no plan: this is what it did, in the order it began."}
                {isPlanned ? " Dashed: planned, not started." : ""}
            </p>
        </div>
    );
}

/** A durable function has no plan: its steps by name, one after the other as they first began. */
function tasksOf(plan: Plan, live: LiveRun): PlannedTask[] {
    if (plan.tasks.length) return plan.tasks;
    const names = [...live.counts.keys()].filter((path) => !path.includes("/")).slice(0, DRAWN_MAX);
    return names.map((name, index) => ({
        name,
        uses: "",
        notes: [],
        depends_on: index ? [names[index - 1] ?? ""] : [],
    }));
}

function firstSteps(live: LiveRun, picture: Picture): Map<string, Step> {
    const found = new Map<string, Step>();
    for (const { path } of picture.nodes) {
        const step = live.steps.get(path);
        if (step) found.set(path, step);
    }
    return found;
}

const ORDER: StepStatus[] = [
    "failed",
    "checkpoint_pending",
    "running",
    "retrying",
    "compensating",
    "waiting",
    "queued",
    "pending",
    "cancelled",
    "completed",
    "compensated",
    "skipped",
];

/** What a place in the plan looks like when its steps stand differently: what matters most. */
function standing(live: LiveRun, path: string): StepStatus | "planned" {
    const own = live.steps.get(path);
    if (own) return own.status;
    const counts = live.counts.get(path);
    if (!counts) return "planned";
    return ORDER.find((status) => (counts.get(status) ?? 0) > 0) ?? "planned";
}

function nodeOf(
    placed: Placed,
    live: LiveRun,
    step: Step | undefined,
    now: number,
    direction: Direction,
    chosen: string,
): TaskNode {
    const counts = [...(live.counts.get(placed.path) ?? [])].filter(([, many]) => many > 0);
    const total = counts.reduce((sum, [, many]) => sum + many, 0);
    return {
        id: placed.path,
        type: "task",
        position: { x: placed.x, y: placed.y },
        parentId: placed.parent || undefined,
        extent: placed.parent ? "parent" : undefined,
        width: placed.width,
        height: placed.height,
        selected: chosen !== "" && chosen === (step?.path ?? placed.path),
        ariaLabel: `${placed.task.name}: ${statusWord(standing(live, placed.path))}`,
        data: {
            task: placed.task,
            path: placed.path,
            status: standing(live, placed.path),
            facts: factsOf(live, step, counts, total, now),
            counts,
            total,
            isBlock: Boolean(placed.task.tasks?.length),
            direction,
        },
    };
}

function factsOf(
    live: LiveRun,
    step: Step | undefined,
    counts: [StepStatus, number][],
    total: number,
    now: number,
): string {
    if (step?.items) return `${count(live.itemsEnded(step))} of ${count(step.items)}`;
    if (!step && total > 1) {
        const done = counts.find(([status]) => status === "completed")?.[1] ?? 0;
        return `${count(done)} of ${count(total)}`;
    }
    const start = at(step?.started_at);
    if (!step || start === null) return "";
    const end = at(step.ended_at) ?? now;
    const again = (step.attempts ?? 1) > 1 ? ` ×${step.attempts}` : "";
    return duration(end - start) + again;
}

const TaskBox = memo(function TaskBox({ data, selected }: NodeProps<TaskNode>) {
    const { task, status, facts, isBlock, direction } = data;
    const isLeftToRight = direction === "LR";
    const { tone } = lookOf(status);
    return (
        <div
            className="task"
            data-tone={tone}
            data-status={status}
            data-block={isBlock || undefined}
            data-selected={selected || undefined}
        >
            <Handle
                type="target"
                position={isLeftToRight ? Position.Left : Position.Top}
                isConnectable={false}
            />
            <div className="task-head">
                <Glyph status={status === "planned" ? "pending" : status} />
                <strong className="clip">{visible(task.name)}</strong>
                <span className="number">{facts}</span>
            </div>
            <div className="task-foot">
                <span className="clip mono">{task.notes[0] ?? shortUses(task.uses)}</span>
            </div>
            {data.total > 1 ? <Share counts={data.counts} total={data.total} /> : null}
            <Handle
                type="source"
                position={isLeftToRight ? Position.Right : Position.Bottom}
                isConnectable={false}
            />
        </div>
    );
});

/** `python:shop.orders:load` → `orders:load`; everything else says itself. */
function shortUses(uses: string): string {
    if (!uses.startsWith("python:")) return uses;
    const [module = "", name = ""] = uses.slice("python:".length).split(":");
    return `${module.split(".").at(-1)}:${name}`;
}

/** How the steps of a mapped task stand, as one thin bar. */
function Share({ counts, total }: { counts: [StepStatus, number][]; total: number }) {
    const sorted = [...counts].sort(([a], [b]) => ORDER.indexOf(b) - ORDER.indexOf(a));
    return (
        <div className="share" aria-hidden="true">
            {sorted.map(([status, many]) => (
                <i
                    key={status}
                    data-tone={lookOf(status).tone}
                    style={{ width: `${(many / total) * 100}%` }}
                />
            ))}
        </div>
    );
}

function WirePath(props: EdgeProps<WireEdge>) {
    const { sourceX, sourceY, targetX, targetY, data, markerEnd } = props;
    const start = { x: sourceX, y: sourceY };
    const end = { x: targetX, y: targetY };
    const path = pathOf(start, data?.bends ?? [], end, data?.direction ?? "LR");
    return <BaseEdge path={path} markerEnd={markerEnd} />;
}

const NODE_TYPES = { task: TaskBox };
const EDGE_TYPES = { wire: WirePath };
