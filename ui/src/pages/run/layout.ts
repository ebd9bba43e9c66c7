/** Where the tasks of a plan stand in the picture: left to right, blocks around their tasks. */

import { Graph, layout } from "@dagrejs/dagre";
import type { PlannedTask } from "../../api/shapes";

export const NODE_WIDTH = 196;
export const NODE_HEIGHT = 58;
const BLOCK_HEAD = 64;
const BLOCK_PAD = 16;

export interface Placed {
    path: string;
    task: PlannedTask;
    /** The block around it, or "". */
    parent: string;
    x: number;
    y: number;
    width: number;
    height: number;
}

export interface Point {
    x: number;
    y: number;
}

export interface Wire {
    from: string;
    to: string;
    /** Where it passes between its ends, so that it goes around the tasks in its way. */
    bends: Point[];
}

export interface Picture {
    nodes: Placed[];
    wires: Wire[];
    width: number;
    height: number;
}

export type Direction = "LR" | "TB";

export function countTasks(tasks: PlannedTask[]): number {
    return tasks.reduce((sum, task) => sum + 1 + countTasks(task.tasks ?? []), 0);
}

export function draw(tasks: PlannedTask[], direction: Direction, above = ""): Picture {
    const inner = new Map<string, Picture>();
    const graph = new Graph();
    graph.setGraph({ rankdir: direction, nodesep: 22, ranksep: 52, edgesep: 12 });
    graph.setDefaultEdgeLabel(() => ({}));
    for (const task of tasks) {
        const path = above ? `${above}/${task.name}` : task.name;
        let size = { width: NODE_WIDTH, height: NODE_HEIGHT };
        if (task.tasks?.length) {
            const picture = draw(task.tasks, direction, path);
            inner.set(task.name, picture);
            size = {
                width: Math.max(NODE_WIDTH, picture.width + 2 * BLOCK_PAD),
                height: picture.height + BLOCK_HEAD + BLOCK_PAD,
            };
        }
        graph.setNode(task.name, size);
    }
    const pairs: [string, string][] = [];
    for (const task of tasks) {
        for (const before of task.depends_on) {
            if (!graph.hasNode(before)) continue;
            graph.setEdge(before, task.name);
            pairs.push([before, task.name]);
        }
    }
    layout(graph);
    const place = (name: string) => (above ? `${above}/${name}` : name);
    const wires = pairs.map(([from, to]) => {
        const { points = [] } = graph.edge(from, to) as { points?: Point[] };
        return { from: place(from), to: place(to), bends: points.slice(1, -1) };
    });
    return gather(tasks, graph, inner, wires, above);
}

/** Through the bends, level where it leaves and where it arrives. */
export function pathOf(start: Point, bends: Point[], end: Point, direction: Direction): string {
    let path = `M${start.x},${start.y}`;
    let from = start;
    // A wire without anything between its ends has one bend in the middle that says nothing.
    for (const to of bends.length > 1 ? [...bends, end] : [end]) {
        const middle = { x: (from.x + to.x) / 2, y: (from.y + to.y) / 2 };
        path +=
            direction === "LR"
                ? `C${middle.x},${from.y} ${middle.x},${to.y} ${to.x},${to.y}`
                : `C${from.x},${middle.y} ${to.x},${middle.y} ${to.x},${to.y}`;
        from = to;
    }
    return path;
}

function gather(
    tasks: PlannedTask[],
    graph: Graph,
    inner: Map<string, Picture>,
    wires: Wire[],
    above: string,
): Picture {
    const nodes: Placed[] = [];
    let width = 0;
    let height = 0;
    for (const task of tasks) {
        const spot = graph.node(task.name) as {
            x: number;
            y: number;
            width: number;
            height: number;
        };
        const path = above ? `${above}/${task.name}` : task.name;
        const x = spot.x - spot.width / 2;
        const y = spot.y - spot.height / 2;
        nodes.push({ path, task, parent: above, x, y, width: spot.width, height: spot.height });
        const picture = inner.get(task.name);
        if (picture) {
            // Inside a block, places count from the block's corner.
            for (const node of picture.nodes) {
                const isDirect = node.parent === path;
                nodes.push(
                    isDirect ? { ...node, x: node.x + BLOCK_PAD, y: node.y + BLOCK_HEAD } : node,
                );
            }
            for (const wire of picture.wires) {
                const bends = wire.bends.map((bend) => ({
                    x: bend.x + x + BLOCK_PAD,
                    y: bend.y + y + BLOCK_HEAD,
                }));
                wires.push({ ...wire, bends });
            }
        }
        width = Math.max(width, x + spot.width);
        height = Math.max(height, y + spot.height);
    }
    return { nodes, wires, width, height };
}
