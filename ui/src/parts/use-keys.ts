import { useEffect, useRef } from "react";

export type Keys = Record<string, (event: KeyboardEvent) => void>;

const TYPING = "input, textarea, select, [contenteditable]";

/** Single keys for the whole page; silent while somebody types or a question is open. */
export function useKeys(keys: Keys, isOn = true): void {
    const latest = useRef(keys);
    latest.current = keys;
    useEffect(() => {
        if (!isOn) return;
        const listen = (event: KeyboardEvent) => {
            if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return;
            const target = event.target as HTMLElement;
            if (
                target.closest(TYPING) &&
                !(target as HTMLInputElement).matches?.("[type=checkbox]")
            )
                return;
            if (document.querySelector("dialog[open]")) return;
            const act = latest.current[event.key];
            if (!act) return;
            event.preventDefault();
            act(event);
        };
        document.addEventListener("keydown", listen);
        return () => document.removeEventListener("keydown", listen);
    }, [isOn]);
}
