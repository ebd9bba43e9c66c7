/** What the API says, as far as the pages read it; names are the API's own. */

export const RUN_STATUSES = [
    "queued",
    "planning",
    "running",
    "waiting",
    "paused",
    "cancelling",
    "compensating",
    "completed",
    "failed",
    "cancelled",
    "aborted",
] as const;
export type RunStatus = (typeof RUN_STATUSES)[number];

export type StepStatus =
    | "pending"
    | "queued"
    | "running"
    | "retrying"
    | "waiting"
    | "checkpoint_pending"
    | "completed"
    | "failed"
    | "skipped"
    | "cancelled"
    | "compensating"
    | "compensated";

const CLOSED = new Set(["completed", "failed", "cancelled", "aborted"]);
const ENDED = new Set(["completed", "failed", "skipped", "cancelled", "compensated"]);

export const isOpenRun = (status: string): boolean => !CLOSED.has(status);
export const isOpenStep = (status: string): boolean => !ENDED.has(status);

export interface ErrorRecord {
    code?: string;
    title?: string;
    detail?: string;
    why?: string;
    fix?: string;
    step?: string;
    kind?: string;
    message?: string;
    traceback?: string;
    causes?: ErrorRecord[];
}

export interface StepCounts {
    open: number;
    done: number;
    failed: number;
}

export interface RunSummary {
    run_id: string;
    workflow: string;
    version: string;
    status: RunStatus;
    reason: string;
    labels: Record<string, string>;
    created_at: string;
    started_at: string | null;
    ended_at: string | null;
    steps: StepCounts;
    cost_usd: number;
    parent_run_id: string | null;
    forked_from: string | null;
}

export interface Run extends RunSummary {
    generation: number;
    organization: string;
    priority: number;
    input: unknown;
    output: unknown;
    error: ErrorRecord | null;
    seq: number;
    allowed: string[];
    tokens: number;
    model_calls: number;
    is_cost_estimated: boolean;
}

export interface Step {
    step_record_id: string;
    path: string;
    kind: string;
    status: StepStatus;
    reason?: string;
    attempts?: number;
    recoveries?: number;
    started_at?: string | null;
    ended_at?: string | null;
    wake_at?: string | null;
    items?: number | null;
    items_done?: number | null;
    items_failed?: number | null;
    child_run_id?: string | null;
    cost_usd?: number;
    error?: ErrorRecord | null;
    input?: unknown;
    output?: unknown;
}

export interface PodiumEvent {
    id: string;
    type: string;
    source: string;
    sequence: number;
    subject: string;
    time: string;
    data: EventData;
}

export interface EventData {
    step_record_id?: string;
    status?: string;
    kind?: string;
    attempt?: number;
    reason?: string;
    outcome?: string;
    wake_at?: string;
    items?: number;
    items_done?: number;
    items_failed?: number;
    child_run_id?: string;
    error?: ErrorRecord;
    [more: string]: unknown;
}

/** A task of a definition; blocks hold tasks of their own. */
export interface PlannedTask {
    name: string;
    uses: string;
    depends_on: string[];
    notes: string[];
    tasks?: PlannedTask[];
}

export interface Plan {
    workflow: string;
    version: string;
    kind: string;
    tasks: PlannedTask[];
}

export interface Because {
    code: string;
    sentence: string;
    fix?: string;
    blocker?: string;
    holder?: string;
    since_at?: string | null;
    expected_at?: string | null;
}

export interface Explanation extends Because {
    step?: string;
    steps?: (Because & { step: string; status: string })[];
}

export interface Approval {
    approval_id: string;
    run_id: string;
    step_record_id: string;
    path: string;
    status: string;
    conversation_id: string;
    organization: string;
    prompt: string;
    payload: unknown;
    payload_hash: string;
    created_at: string;
    expires_at: string | null;
    decided_at: string | null;
    decided_by: string;
    comment: string;
    requested_by: string;
    escalated_at: string | null;
    escalated_to: string;
    edited: unknown;
    rework: boolean;
}

export interface LogLine {
    step: string;
    attempt: number;
    time: string;
    level: string;
    source: string;
    text: string;
    /** The cursor: what came after it is asked for with it. */
    number: number;
}

/** One billed request. */
export interface Charge {
    run_id: string;
    step_record_id: string;
    provider: string;
    model: string;
    agent: string;
    input: number;
    output: number;
    cost_usd: number;
    is_estimated: boolean;
}

export interface Page<T> {
    items: T[];
    next_cursor: string | number | null;
}

/** One published version of a workflow. */
export interface Workflow {
    name: string;
    number: number;
    label: string;
    version: string;
    active: boolean;
    created_at: string | null;
}

export interface WorkflowDocument extends Workflow {
    definition: { inputs?: Record<string, unknown> | null };
    plan: Partial<Plan>;
}

export interface Agent {
    slug: string;
    description: string;
    model: string;
    tools: string[];
    status: string;
    mode: string;
}
