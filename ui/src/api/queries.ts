/** What the pages ask for, by one key each, so that a verb can say what it made old. */

import { type QueryClient, infiniteQueryOptions, queryOptions } from "@tanstack/react-query";
import { get, post, Problem } from "./client";
import type {
    Agent,
    Approval,
    Charge,
    Explanation,
    LogLine,
    Page,
    PodiumEvent,
    RunSummary,
    Step,
    Workflow,
    WorkflowDocument,
} from "./shapes";
import { planOf } from "./plan";

export interface RunFilter {
    status: string[];
    workflow: string;
    label: string;
}

const RUNS_PAGE = 100;
const EVENTS_PAGE = 1000;
const APPROVALS_MAX = 100;
const LOGS_PAGE = 1000;
const LOG_PAGES_MAX = 10;
const LOGS_KEPT = 10_000;

export const runsQuery = (filter: RunFilter) =>
    infiniteQueryOptions({
        queryKey: ["runs", filter],
        queryFn: ({ pageParam, signal }) =>
            get<Page<RunSummary>>(
                "/v1/runs",
                {
                    status: filter.status,
                    workflow: filter.workflow,
                    label: filter.label,
                    limit: RUNS_PAGE,
                    cursor: pageParam,
                },
                signal,
            ),
        initialPageParam: undefined as string | number | undefined,
        getNextPageParam: (page) => page.next_cursor ?? undefined,
        maxPages: 50,
    });

export const planQuery = (run: string) =>
    queryOptions({
        queryKey: ["plan", run],
        queryFn: async ({ signal }) => planOf(await get(`/v1/runs/${run}/plan`, {}, signal)),
        staleTime: Infinity,
    });

export const explainQuery = (run: string, seq: number, isOpen: boolean) =>
    queryOptions({
        queryKey: ["explain", run, seq],
        queryFn: ({ signal }) => get<Explanation>(`/v1/runs/${run}/explain`, {}, signal),
        placeholderData: (before) => before,
        refetchInterval: isOpen ? 5000 : false,
    });

export const approvalsQuery = (status: "pending" | "all") =>
    queryOptions({
        queryKey: ["approvals", status],
        queryFn: ({ signal }) =>
            get<Page<Approval>>(
                "/v1/approvals",
                { pending: status === "pending" ? "true" : "false", limit: APPROVALS_MAX },
                signal,
            ),
        // Without a key there is nothing to ask for until somebody signs in.
        refetchInterval: ({ state: { error } }) =>
            error instanceof Problem && error.isUnauthorized ? false : 4000,
    });

export const eventsQuery = (run: string) =>
    infiniteQueryOptions({
        queryKey: ["events", run],
        queryFn: ({ pageParam, signal }) =>
            get<Page<PodiumEvent>>(
                `/v1/runs/${run}/events`,
                { after: pageParam, limit: EVENTS_PAGE },
                signal,
            ),
        initialPageParam: 0 as number | string,
        getNextPageParam: (page) => page.next_cursor ?? undefined,
    });

export const costQuery = (run: string, seq: number) =>
    queryOptions({
        queryKey: ["cost", run, seq],
        queryFn: ({ signal }) => get<{ items: Charge[] }>(`/v1/runs/${run}/cost`, {}, signal),
        placeholderData: (before) => before,
    });

/** One step with its output: the page that begins after the step before it. */
export const stepQuery = (run: string, step: Step) =>
    queryOptions({
        queryKey: ["step", step.step_record_id, step.status, step.attempts],
        queryFn: ({ signal }) =>
            get<Step>(`/v1/runs/${run}/steps/${step.step_record_id}`, {}, signal),
        staleTime: 10_000,
    });

/** What the attempts wrote; asking again asks only for what came since. */
export const logsQuery = (client: QueryClient, run: string, step: string, isOpen: boolean) =>
    queryOptions({
        queryKey: ["logs", run, step],
        queryFn: async ({ signal }) => {
            const known = client.getQueryData<LogLine[]>(["logs", run, step]) ?? [];
            const lines = [...known];
            for (let pages = 0; pages < LOG_PAGES_MAX; pages += 1) {
                const query = { step, limit: LOGS_PAGE, after: lines.at(-1)?.number };
                const page: Page<LogLine> = await get(`/v1/runs/${run}/logs`, query, signal);
                lines.push(...page.items);
                if (page.next_cursor === null) break;
            }
            return lines.slice(-LOGS_KEPT);
        },
        refetchInterval: isOpen ? 1500 : false,
    });

/** Tell a run something; the answer is the state it is in now. */
export const act = (run: string, verb: string, body: Record<string, unknown> = {}) =>
    post<{ run_id: string; status: string }>(`/v1/runs/${run}/actions/${verb}`, body);

export const decide = (approval: string, body: Record<string, unknown>) =>
    post<{ status: string }>(`/v1/approvals/${approval}/decision`, body);

export const outdated = (client: QueryClient): Promise<unknown> =>
    Promise.all([
        client.invalidateQueries({ queryKey: ["runs"] }),
        client.invalidateQueries({ queryKey: ["approvals"] }),
        client.invalidateQueries({ queryKey: ["explain"] }),
    ]);

export const sendSignal = (run: string, name: string, payload: unknown) =>
    post<{ status: string }>(`/v1/runs/${run}/signals/${encodeURIComponent(name)}`, { payload });

export interface Attempt {
    number: number;
    status: string;
    started: string;
    ended: string;
    text: string;
}

const ATTEMPT_PAGES_MAX = 10;

/** The attempts of one step, read from the run's events: each begins and ends with one. */
export const attemptsQuery = (run: string, step: string, state: string) =>
    queryOptions({
        queryKey: ["attempts", run, step, state],
        queryFn: async ({ signal }) => {
            const found: PodiumEvent[] = [];
            let after: string | number | null = 0;
            for (let pages = 0; after !== null && pages < ATTEMPT_PAGES_MAX; pages += 1) {
                const query = { after, limit: EVENTS_PAGE };
                const page: Page<PodiumEvent> = await get(`/v1/runs/${run}/events`, query, signal);
                found.push(...page.items.filter((event) => event.subject === step));
                after = page.next_cursor;
            }
            return attemptsOf(found);
        },
        placeholderData: (before) => before,
        staleTime: 30_000,
    });

export function attemptsOf(events: PodiumEvent[]): Attempt[] {
    const attempts: Attempt[] = [];
    let current: Attempt | null = null;
    for (const { type, data, time } of events) {
        if (type === "orchestration.step.started") {
            const number = attempts.length + 1;
            current = { number, status: "running", started: time, ended: "", text: "" };
            attempts.push(current);
        } else if (current && !current.ended && data.status) {
            const isOver = data.outcome !== undefined || ENDS.has(data.status);
            if (!isOver) continue;
            current.ended = time;
            current.status =
                data.outcome && data.outcome !== "succeeded" ? data.outcome : data.status;
            current.text = data.error?.message ?? data.error?.detail ?? data.error?.title ?? "";
        }
    }
    return attempts;
}

const ENDS = new Set(["completed", "failed", "skipped", "cancelled", "checkpoint_pending"]);

export const workflowsQuery = queryOptions({
    queryKey: ["workflows"],
    queryFn: ({ signal }) => get<Page<Workflow>>("/v1/workflows", {}, signal),
    refetchInterval: 10_000,
});

const workflowPath = (name: string) => `/v1/workflows/${encodeURIComponent(name)}`;

export const workflowQuery = (name: string) =>
    queryOptions({
        queryKey: ["workflows", name],
        queryFn: async ({ signal }) => {
            const found = await get<WorkflowDocument>(workflowPath(name), {}, signal);
            return { ...found, plan: planOf(found), inputs: found.definition.inputs ?? null };
        },
    });

export const versionsQuery = (name: string) =>
    queryOptions({
        queryKey: ["workflows", name, "versions"],
        queryFn: ({ signal }) => get<Page<Workflow>>(`${workflowPath(name)}/versions`, {}, signal),
    });

export const agentsQuery = queryOptions({
    queryKey: ["agents"],
    queryFn: ({ signal }) => get<Page<Agent>>("/v1/agents", {}, signal),
});

export const startRun = (workflow: string, input: unknown) =>
    post<{ run_id: string }>("/v1/runs", { workflow, input });
