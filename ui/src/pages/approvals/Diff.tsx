import { useMemo } from "react";
import { around, diffLines } from "../../text/diff";
import { visible } from "../../text/visible";

/** What an edit changes, line by line; this is also what the history will say. */
export function Diff({ before, after }: { before: string; after: string }) {
    const lines = useMemo(() => diffLines(before, after), [before, after]);
    if (lines === null) return <p className="hint">The payload is too long to compare here.</p>;
    return (
        <figure className="diff">
            <figcaption className="hint">What changes</figcaption>
            <pre tabIndex={0} role="region" aria-label="What changes">
                {around(lines).map((line, index) =>
                    line === null ? (
                        <span key={index} className="gap">
                            ⋯
                        </span>
                    ) : (
                        <span key={index} data-kind={line.kind}>
                            {SIGNS[line.kind]} {visible(line.text)}
                        </span>
                    ),
                )}
            </pre>
        </figure>
    );
}

const SIGNS = { same: " ", gone: "−", new: "+" };
