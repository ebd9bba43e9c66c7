import { type ReactNode, useMemo, useState } from "react";
import { count } from "../text/format";
import { visible } from "../text/visible";
import { CopyButton } from "./CopyButton";

const FIRST_CHARACTERS = 6000;

/** A value as indented JSON; text stays text, whatever it says. */
export function Json({ value, label }: { value: unknown; label: string }) {
    const text = useMemo(() => pretty(value), [value]);
    return <TextBlock text={text} label={label} isJson />;
}

export function pretty(value: unknown): string {
    return value === undefined ? "null" : JSON.stringify(value, null, 2);
}

interface TextBlockProps {
    text: string;
    label: string;
    isJson?: boolean;
}

export function TextBlock({ text, label, isJson }: TextBlockProps) {
    const [isWhole, setWhole] = useState(false);
    const isLong = text.length > FIRST_CHARACTERS;
    const shown = isLong && !isWhole ? text.slice(0, FIRST_CHARACTERS) : text;
    // Colours cost an element for each word: a long text shown whole goes without.
    const body = isJson && shown.length <= FIRST_CHARACTERS ? coloured(shown) : visible(shown);
    return (
        <div className="text-block">
            <pre tabIndex={0} role="region" aria-label={label}>
                {body}
                {isLong && !isWhole ? "…" : ""}
            </pre>
            <div className="tools">
                <CopyButton text={text} what={label} />
            </div>
            {isLong ? (
                <button className="more" onClick={() => setWhole(!isWhole)}>
                    {isWhole ? "Show less" : `Show all ${count(text.length)} characters`}
                </button>
            ) : null}
        </div>
    );
}

const TOKENS =
    /("(?:[^"\\]|\\.)*")(\s*:)?|\b(?:true|false|null)\b|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/g;

function coloured(text: string): ReactNode[] {
    const parts: ReactNode[] = [];
    let from = 0;
    for (const found of text.matchAll(TOKENS)) {
        const [whole, string, colon] = found;
        parts.push(text.slice(from, found.index));
        const kind = string === undefined ? "json-value" : colon ? "json-name" : "json-text";
        parts.push(
            <span key={found.index} className={kind}>
                {visible(string ?? whole)}
            </span>,
        );
        if (colon) parts.push(colon);
        from = found.index + whole.length;
    }
    parts.push(visible(text.slice(from)));
    return parts;
}
