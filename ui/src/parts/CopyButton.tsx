import { useState } from "react";
import { Check, Copy } from "./icons";

export function CopyButton({ text, what }: { text: string; what: string }) {
    const [isCopied, setCopied] = useState(false);
    const copy = async () => {
        await navigator.clipboard.writeText(text);
        setCopied(true);
        setTimeout(() => setCopied(false), 1500);
    };
    return (
        <button
            type="button"
            className="button bare icon small"
            onClick={() => void copy()}
            aria-label={isCopied ? "Copied" : `Copy ${what}`}
            title={isCopied ? "Copied" : `Copy ${what}`}
        >
            {isCopied ? <Check /> : <Copy />}
        </button>
    );
}
