import type { ReactNode } from "react";
import { CopyButton } from "./CopyButton";

interface EmptyProps {
    icon: ReactNode;
    title: string;
    children?: ReactNode;
    command?: string;
}

export function Empty({ icon, title, children, command }: EmptyProps) {
    return (
        <div className="empty">
            {icon}
            <h2>{title}</h2>
            <p>{children}</p>
            {command ? <Command text={command} /> : null}
        </div>
    );
}

export function Command({ text }: { text: string }) {
    return (
        <span className="command">
            <code>{text}</code>
            <CopyButton text={text} what="command" />
        </span>
    );
}
