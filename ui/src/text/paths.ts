/** Step paths such as `file[shop/a.py]/risky`: their parts, their parent, their place in a plan. */

export interface Segment {
    name: string;
    /** `[key]` of a map item or a loop, with its brackets. */
    key: string;
}

/** Cut at the slashes outside of brackets; a key ends at a bracket that a slash or end follows. */
export function segments(path: string): Segment[] {
    const found: Segment[] = [];
    let from = 0;
    while (from < path.length) {
        let end = from;
        while (end < path.length && path[end] !== "/" && path[end] !== "[") end += 1;
        const name = path.slice(from, end);
        let key = "";
        if (path[end] === "[") {
            let close = path.indexOf("]", end);
            while (close >= 0 && close + 1 < path.length && !"/[".includes(path[close + 1] ?? "")) {
                close = path.indexOf("]", close + 1);
            }
            if (close < 0) close = path.length - 1;
            key = path.slice(end, close + 1);
            end = close + 1;
            // Maps in maps: one key after the other.
            while (path[end] === "[") {
                const next = path.indexOf("]", end);
                if (next < 0) break;
                key += path.slice(end, next + 1);
                end = next + 1;
            }
        }
        found.push({ name, key });
        from = end + 1;
    }
    return found;
}

/** `file[a]/risky` → `file[a]` → `file` → "". */
export function parentOf(path: string): string {
    const parts = segments(path);
    const last = parts.at(-1);
    if (!last) return "";
    const before = parts.slice(0, -1).map(join).join("/");
    if (!last.key) return before;
    return before ? `${before}/${last.name}` : last.name;
}

/** The place in the plan: `file[a]/risky` → `file/risky`. */
export const planPath = (path: string): string =>
    path.includes("[")
        ? segments(path)
              .map((part) => part.name)
              .join("/")
        : path;

/** What a row under its parent is called. */
export function leafOf(path: string): string {
    const last = segments(path).at(-1);
    return last ? last.key || last.name : path;
}

const join = (part: Segment): string => part.name + part.key;
