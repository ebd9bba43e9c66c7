/** Line by line difference of two texts, for people who decide about an edit. */

export interface DiffLine {
    kind: "same" | "gone" | "new";
    text: string;
}

const CELLS_MAX = 1_000_000;

/** The difference, or null if the texts are too long to compare while somebody types. */
export function diffLines(before: string, after: string): DiffLine[] | null {
    const a = before.split("\n");
    const b = after.split("\n");
    if (a.length * b.length > CELLS_MAX) return null;
    const width = b.length + 1;
    const common = new Uint16Array((a.length + 1) * width);
    for (let i = a.length - 1; i >= 0; i -= 1) {
        for (let j = b.length - 1; j >= 0; j -= 1) {
            const here = i * width + j;
            common[here] =
                a[i] === b[j]
                    ? (common[here + width + 1] ?? 0) + 1
                    : Math.max(common[here + width] ?? 0, common[here + 1] ?? 0);
        }
    }
    return walk(a, b, common, width);
}

function walk(a: string[], b: string[], common: Uint16Array, width: number): DiffLine[] {
    const lines: DiffLine[] = [];
    let i = 0;
    let j = 0;
    while (i < a.length || j < b.length) {
        const down = common[(i + 1) * width + j] ?? 0;
        const right = common[i * width + j + 1] ?? 0;
        if (i < a.length && j < b.length && a[i] === b[j]) {
            lines.push({ kind: "same", text: a[i] ?? "" });
            i += 1;
            j += 1;
        } else if (i < a.length && (j >= b.length || down >= right)) {
            lines.push({ kind: "gone", text: a[i] ?? "" });
            i += 1;
        } else {
            lines.push({ kind: "new", text: b[j] ?? "" });
            j += 1;
        }
    }
    return lines;
}

/** Only what changed, with two lines around it. */
export function around(lines: DiffLine[], context = 2): (DiffLine | null)[] {
    const near = lines.map((_, at) =>
        lines
            .slice(Math.max(0, at - context), at + context + 1)
            .some((line) => line.kind !== "same"),
    );
    const shown: (DiffLine | null)[] = [];
    lines.forEach((line, at) => {
        if (near[at]) shown.push(line);
        else if (near[at - 1] || at === 0) shown.push(null);
    });
    return shown.some((line) => line && line.kind !== "same") ? shown : [];
}
