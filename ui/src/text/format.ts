/** Times, amounts and names as people read them. */

/** Milliseconds since 1970 of a time as the API gives it. */
export function at(text: string | null | undefined): number | null {
    if (!text) return null;
    const ms = Date.parse(text);
    return Number.isNaN(ms) ? null : ms;
}

/** 7 ms · 1.2 s · 42 s · 3 m 05 s · 2 h 10 m · 3 d 4 h */
export function duration(ms: number | null | undefined): string {
    if (ms === null || ms === undefined || Number.isNaN(ms)) return "–";
    if (ms < 0) return "0 ms";
    if (ms < 1000) return `${Math.round(ms)} ms`;
    if (ms < 10_000) return `${(ms / 1000).toFixed(1)} s`;
    const seconds = Math.round(ms / 1000);
    if (seconds < 60) return `${seconds} s`;
    const minutes = Math.floor(seconds / 60);
    if (minutes < 60) return `${minutes} m ${pad(seconds % 60)} s`;
    const hours = Math.floor(minutes / 60);
    if (hours < 48) return `${hours} h ${pad(minutes % 60)} m`;
    return `${Math.floor(hours / 24)} d ${hours % 24} h`;
}

export function ago(ms: number | null, now: number): string {
    if (ms === null) return "–";
    const passed = now - ms;
    if (passed < -1500) return `in ${coarse(-passed)}`;
    if (passed < 5000) return "just now";
    return `${coarse(passed)} ago`;
}

function coarse(ms: number): string {
    const seconds = Math.round(ms / 1000);
    if (seconds < 60) return `${seconds} s`;
    if (seconds < 3600) return `${Math.round(seconds / 60)} min`;
    if (seconds < 129_600) return `${Math.round(seconds / 3600)} h`;
    return `${Math.round(seconds / 86_400)} d`;
}

/** 21 Nov, 16:43:13 in the reader's own time zone; the year only where it is another one. */
export function moment(ms: number | null, withMs = false): string {
    if (ms === null) return "–";
    const date = new Date(ms);
    const year = date.getFullYear() === new Date().getFullYear() ? undefined : "numeric";
    const day = date.toLocaleDateString("en-GB", { day: "numeric", month: "short", year });
    return `${day}, ${clock(ms, withMs)}`;
}

export function clock(ms: number, withMs = false): string {
    const date = new Date(ms);
    const time = [date.getHours(), date.getMinutes(), date.getSeconds()].map(pad).join(":");
    return withMs ? `${time}.${String(date.getMilliseconds()).padStart(3, "0")}` : time;
}

export function money(usd: number | undefined): string {
    if (!usd) return "$0.00";
    if (usd < 0.0001) return "< $0.0001";
    if (usd < 0.1) return `$${usd.toFixed(4)}`;
    return `$${usd.toFixed(2)}`;
}

export const count = (value: number): string =>
    value.toLocaleString("en-GB").replace(/,/g, "\u202f");

export const plural = (value: number, one: string, many = `${one}s`): string =>
    `${count(value)} ${value === 1 ? one : many}`;

export const words = (code: string): string => code.replace(/_/g, " ");

const pad = (value: number): string => String(value).padStart(2, "0");
