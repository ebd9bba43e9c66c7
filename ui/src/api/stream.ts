/** Server-sent events over fetch: EventSource cannot send the key as a header. */

import { headers, problemOf, Problem } from "./client";
import type { PodiumEvent } from "./shapes";

export type Link = "connecting" | "live" | "lost" | "ended";

export interface StreamOptions {
    path: string;
    /** What was seen already; without it, what comes from now on. */
    after?: number | string;
    onEvents: (events: PodiumEvent[]) => void;
    onLink: (link: Link) => void;
    onProblem?: (problem: Problem) => void;
}

const SILENCE_MAX_MS = 40_000; // the server sends a heartbeat every 15 s
const HIDDEN_MAX_MS = 5000;
const BACKOFF_MAX_MS = 10_000;

/** Follow events until the returned function is called; reconnects with the last id seen. */
export function follow(options: StreamOptions): () => void {
    const stop = new AbortController();
    void run(options, stop.signal);
    return () => stop.abort();
}

async function run(options: StreamOptions, stop: AbortSignal): Promise<void> {
    let cursor = String(options.after ?? "");
    let failures = 0;
    options.onLink("connecting");
    while (!stop.aborted) {
        await shown(stop);
        try {
            const end = await connect(options, cursor, stop, (last) => {
                cursor = last;
                failures = 0;
            });
            if (end) {
                options.onLink("ended");
                return;
            }
        } catch (error) {
            if (stop.aborted) return;
            if (error instanceof Problem && error.status >= 400 && error.status < 500) {
                options.onProblem?.(error);
                options.onLink("ended");
                return;
            }
        }
        if (stop.aborted) return;
        options.onLink("lost");
        failures += 1;
        const most = Math.min(BACKOFF_MAX_MS, 300 * 2 ** failures);
        await pause(most * (0.5 + Math.random() / 2), stop);
    }
}

/** One connection; true if the server said that nothing more will come. */
async function connect(
    options: StreamOptions,
    cursor: string,
    stop: AbortSignal,
    onCursor: (last: string) => void,
): Promise<boolean> {
    const quiet = new AbortController();
    let timer = setTimeout(() => quiet.abort(), SILENCE_MAX_MS);
    let rest: ReturnType<typeof setTimeout> | undefined;
    // Browsers allow six connections to one server: a tab nobody looks at holds none.
    const look = () => {
        clearTimeout(rest);
        if (document.hidden) rest = setTimeout(() => quiet.abort(), HIDDEN_MAX_MS);
    };
    document.addEventListener("visibilitychange", look);
    const signal = AbortSignal.any([stop, quiet.signal]);
    try {
        const response = await fetch(options.path, {
            headers: headers({
                Accept: "text/event-stream",
                ...(cursor ? { "Last-Event-ID": cursor } : {}),
            }),
            credentials: "omit",
            cache: "no-store",
            signal,
        });
        if (!response.ok) throw await problemOf(response);
        if (!response.body) return false;
        options.onLink("live");
        const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
        const parser = new Parser();
        for (;;) {
            const { done, value } = await reader.read();
            if (done) return false;
            clearTimeout(timer);
            timer = setTimeout(() => quiet.abort(), SILENCE_MAX_MS);
            const frames = parser.take(value);
            const events: PodiumEvent[] = [];
            let ended = false;
            let closing = false;
            for (const frame of frames) {
                if (frame.id) onCursor(frame.id);
                ended ||= frame.event === "complete" || frame.event === "error";
                closing ||= frame.event === "closing";
                const event = eventOf(frame.data);
                if (event) events.push(event);
            }
            if (events.length) options.onEvents(events);
            if (ended) return true;
            if (closing) return false;
        }
    } finally {
        clearTimeout(timer);
        clearTimeout(rest);
        document.removeEventListener("visibilitychange", look);
        quiet.abort();
    }
}

function shown(stop: AbortSignal): Promise<void> {
    if (!document.hidden) return Promise.resolve();
    return new Promise((resolve) => {
        const look = () => {
            if (document.hidden && !stop.aborted) return;
            document.removeEventListener("visibilitychange", look);
            resolve();
        };
        document.addEventListener("visibilitychange", look);
        stop.addEventListener("abort", look, { once: true });
    });
}

function eventOf(data: string): PodiumEvent | null {
    if (!data.startsWith("{")) return null;
    try {
        const found = JSON.parse(data) as PodiumEvent;
        return typeof found.type === "string" && typeof found.sequence === "number" ? found : null;
    } catch {
        return null;
    }
}

interface Frame {
    id: string;
    event: string;
    data: string;
}

/** Cuts text into frames; a frame may arrive in pieces. */
export class Parser {
    private rest = "";

    take(text: string): Frame[] {
        const whole = this.rest + text;
        // A carriage return at the end may be half of a line end: it waits for the next piece.
        const half = whole.endsWith("\r") ? 1 : 0;
        const ready = whole.slice(0, whole.length - half).replace(/\r\n?/g, "\n");
        const parts = ready.split("\n\n");
        this.rest = (parts.pop() ?? "") + whole.slice(whole.length - half);
        return parts.map(frameOf);
    }
}

function frameOf(text: string): Frame {
    const frame: Frame = { id: "", event: "message", data: "" };
    const data: string[] = [];
    for (const line of text.split("\n")) {
        const cut = line.indexOf(":");
        const name = cut < 0 ? line : line.slice(0, cut);
        const value = cut < 0 ? "" : line.slice(cut + 1).replace(/^ /, "");
        if (name === "data") data.push(value);
        else if (name === "id") frame.id = value;
        else if (name === "event") frame.event = value;
    }
    frame.data = data.join("\n");
    return frame;
}

function pause(ms: number, stop: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
        const timer = setTimeout(resolve, ms);
        stop.addEventListener("abort", () => (clearTimeout(timer), resolve()), { once: true });
    });
}
