/** The plan of a run: its tasks as a tree, whatever the server left out filled in. */

import type { Plan, PlannedTask } from "./shapes";

interface Document {
    plan?: { workflow?: string; version?: string; kind?: string; tasks?: Partial<PlannedTask>[] };
}

export function planOf({ plan }: Document): Plan {
    return {
        workflow: plan?.workflow ?? "",
        version: plan?.version ?? "",
        kind: plan?.kind ?? "graph",
        tasks: (plan?.tasks ?? []).map(taskOf),
    };
}

function taskOf(task: Partial<PlannedTask>): PlannedTask {
    return {
        name: task.name ?? "",
        uses: task.uses ?? "",
        depends_on: task.depends_on ?? [],
        notes: task.notes ?? [],
        tasks: task.tasks?.map(taskOf),
    };
}
