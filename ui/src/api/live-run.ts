/**
 * One run as it is now: loaded once, then kept up to date by its events.
 *
 * Steps live outside of React: a run may have ten thousand of them and change a hundred times a
 * second. Readers are told a few times a second at most, however many events came.
 */

import { useEffect, useMemo, useSyncExternalStore } from "react";
import { parentOf, planPath } from "../text/paths";
import { get, Problem } from "./client";
import type { Page, PodiumEvent, Run, Step, StepCounts, StepStatus } from "./shapes";
import { isOpenRun, isOpenStep } from "./shapes";
import { follow, type Link } from "./stream";

const PACE_MS = 150;
const SLOW_PACE_MS = 500;
const LARGE = 2000;
const HEADER_PACE_MS = 1000;
const WHOLE_PACE_MS = 5000;
const STEPS_PAGE = 1000;
const EVENTS_KEPT = 500;
/** Steps around steps: the API does not count them either. */
const AROUND = new Set(["map", "block", "loop"]);

export class LiveRun {
    readonly id: string;
    run: Run | null = null;
    problem: Problem | null = null;
    link: Link = "connecting";
    steps = new Map<string, Step>();
    /** Paths of the steps under a path, in the order of their numbers. */
    children = new Map<string, string[]>();
    /** How many steps of a place in the plan stand in which status. */
    counts = new Map<string, Map<StepStatus, number>>();
    /** The newest events that came while the page was open. */
    events: PodiumEvent[] = [];
    totals: StepCounts = { open: 0, done: 0, failed: 0 };
    isLoaded = false;
    version = 0;

    private listeners = new Set<() => void>();
    private stops: (() => void)[] = [];
    private pending: ReturnType<typeof setTimeout> | null = null;
    private header: ReturnType<typeof setTimeout> | null = null;
    private readAt = 0;
    private loads = 0;
    private isStopped = false;

    constructor(id: string) {
        this.id = id;
    }

    /** How many items of a map have ended: the map itself says so only when it ends. */
    itemsEnded(step: Step): number {
        const counts = this.counts.get(planPath(step.path));
        let ended = 0;
        for (const [status, many] of counts ?? []) if (!isOpenStep(status)) ended += many;
        const isOnly = !step.path.includes("[");
        return Math.max(step.items_done ?? 0, isOnly ? Math.min(ended, step.items ?? 0) : 0);
    }

    subscribe = (listener: () => void): (() => void) => {
        this.listeners.add(listener);
        return () => this.listeners.delete(listener);
    };

    start(): void {
        this.isStopped = false;
        void this.load();
    }

    stop(): void {
        this.isStopped = true;
        for (const stop of this.stops) stop();
        this.stops = [];
        if (this.header) clearTimeout(this.header);
        if (this.pending) clearTimeout(this.pending);
        this.header = this.pending = null;
    }

    /** Load everything anew, such as after a verb or after events were pruned. */
    async load(): Promise<void> {
        for (const stop of this.stops) stop();
        this.stops = [];
        const retry = (): void => {
            const timer = setTimeout(() => void this.load(), 2000);
            this.stops.push(() => clearTimeout(timer));
        };
        try {
            const run = await get<Run>(`/v1/runs/${this.id}`);
            if (this.isStopped) return;
            if (!(await this.loadSteps(run))) return;
            this.follow(run.seq);
        } catch (error) {
            if (this.isStopped) return;
            this.problem = asProblem(error);
            this.link = "lost";
            if (this.problem.status === 0 || this.problem.status >= 500) retry();
            this.tell();
        }
    }

    /** Take page after page; the first look at a large run does not wait for its last step. */
    private async loadSteps(run: Run): Promise<boolean> {
        const load = (this.loads += 1);
        const all: Step[] = [];
        const isFirst = this.steps.size === 0;
        let cursor: string | number | null = null;
        if (isFirst) this.run = run;
        do {
            const query = { limit: STEPS_PAGE, cursor: cursor ?? undefined };
            const page: Page<Step> = await get<Page<Step>>(`/v1/runs/${this.id}/steps`, query);
            if (this.isStopped || load !== this.loads) return false;
            all.push(...page.items);
            // Again, what is shown stays until all that is new is there.
            if (isFirst) for (const step of page.items) this.put(step);
            cursor = page.next_cursor;
            this.tell();
        } while (cursor !== null);
        this.run = run;
        this.problem = null;
        this.isLoaded = true;
        this.steps = new Map();
        this.children = new Map();
        this.counts = new Map();
        this.totals = { open: 0, done: 0, failed: 0 };
        for (const step of all) this.put(step);
        this.tell();
        return true;
    }

    /** Take a step as it is now, in the place of what was known of it. */
    private put(step: Step): void {
        const old = this.steps.get(step.path);
        this.steps.set(step.path, step);
        if (old) this.tally(old, -1);
        else this.place(step.path);
        this.tally(step, 1);
    }

    private follow(after: number): void {
        if (this.run && !isOpenRun(this.run.status)) {
            // A failed run may be re-opened by somebody else; everything closed is asked for now and then.
            this.link = "ended";
            if (this.run.status === "failed") this.watchHeader(5000);
            this.tell();
            return;
        }
        const stop = follow({
            path: `/v1/runs/${this.id}/events`,
            after,
            onEvents: (events) => this.apply(events),
            onLink: (link) => {
                this.link = link;
                if (link === "live" || link === "ended") this.refreshHeader(0);
                this.tell();
            },
            onProblem: (problem) => {
                if (problem.status === 410) void this.load();
                else this.watchHeader(2000);
            },
        });
        this.stops.push(stop);
    }

    private watchHeader(every: number): void {
        const timer = setInterval(() => this.refreshHeader(0), every);
        this.stops.push(() => clearInterval(timer));
    }

    private apply(events: PodiumEvent[]): void {
        for (const event of events) {
            if (event.data.step_record_id) this.applyStep(event);
        }
        this.events = [...events.slice(-EVENTS_KEPT).reverse(), ...this.events].slice(
            0,
            EVENTS_KEPT,
        );
        this.refreshHeader(HEADER_PACE_MS);
        this.tell();
    }

    private applyStep(event: PodiumEvent): void {
        const { data, subject, time } = event;
        if (!data.status) return;
        const old = this.steps.get(subject);
        const status = data.status as StepStatus;
        const isNew = !old || old.step_record_id !== data.step_record_id;
        const base: Step = isNew
            ? {
                  step_record_id: data.step_record_id ?? "",
                  path: subject,
                  kind: data.kind ?? "task",
                  status,
              }
            : old;
        const next: Step = { ...base, status, reason: data.reason ?? "" };
        if (data.attempt !== undefined) next.attempts = data.attempt;
        if (data.items !== undefined) next.items = data.items;
        if (data.items_done !== undefined) next.items_done = data.items_done;
        if (data.items_failed !== undefined) next.items_failed = data.items_failed;
        if (data.child_run_id) next.child_run_id = data.child_run_id;
        next.wake_at = data.wake_at ?? null;
        next.error = data.error ?? (status === "failed" ? next.error : null);
        if (status === "running" && !next.started_at) next.started_at = time;
        next.ended_at = isOpenStep(status) ? null : time;
        this.put(next);
    }

    private place(path: string): void {
        const parent = parentOf(path);
        const list = this.children.get(parent);
        if (list) list.push(path);
        else this.children.set(parent, [path]);
    }

    private tally({ path, kind, status }: Step, change: number): void {
        if (!AROUND.has(kind)) this.totals[totalOf(status)] += change;
        // A map stands at the place of its items and is counted by them.
        if (kind === "map") return;
        const place = planPath(path);
        let statuses = this.counts.get(place);
        if (!statuses) this.counts.set(place, (statuses = new Map()));
        statuses.set(status, (statuses.get(status) ?? 0) + change);
    }

    private refreshHeader(after: number): void {
        if (this.header || this.isStopped) return;
        this.header = setTimeout(() => {
            this.header = null;
            void this.readHeader();
        }, after);
    }

    /** Where the run stands, cheaply; what it has cost only now and then. */
    private async readHeader(): Promise<void> {
        if (!this.run) return;
        try {
            const now = Date.now();
            const isDue = now - this.readAt > WHOLE_PACE_MS;
            if (isDue) this.readAt = now;
            const path = isDue ? `/v1/runs/${this.id}` : `/v1/runs/${this.id}/status`;
            const told = await get<Partial<Run>>(path);
            if (this.isStopped) return;
            const wasOpen = isOpenRun(this.run.status);
            this.run = { ...this.run, ...told };
            this.problem = null;
            // The last word on steps and outputs comes with the end; a re-opened run starts over.
            if (wasOpen !== isOpenRun(this.run.status)) void this.load();
        } catch (error) {
            if (this.isStopped) return;
            this.problem = asProblem(error);
        }
        this.tell();
    }

    private tell(): void {
        if (this.pending) return;
        this.pending = setTimeout(
            () => {
                this.pending = null;
                this.version += 1;
                for (const listener of this.listeners) listener();
            },
            this.steps.size > LARGE ? SLOW_PACE_MS : PACE_MS,
        );
    }
}

function totalOf(status: StepStatus): keyof StepCounts {
    if (isOpenStep(status)) return "open";
    return status === "failed" ? "failed" : "done";
}

function asProblem(error: unknown): Problem {
    return error instanceof Problem ? error : new Problem(0, { title: String(error) });
}

/** The live view of one run, and a number that grows whenever it changed. */
export function useLiveRun(id: string): [LiveRun, number] {
    const live = useMemo(() => new LiveRun(id), [id]);
    useEffect(() => {
        live.start();
        return () => live.stop();
    }, [live]);
    const version = useSyncExternalStore(live.subscribe, () => live.version);
    return [live, version];
}
