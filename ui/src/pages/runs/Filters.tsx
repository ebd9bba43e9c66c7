import { useNavigate } from "@tanstack/react-router";
import { useEffect, useState } from "react";
import type { RunFilter } from "../../api/queries";
import { RUN_STATUSES, isOpenRun } from "../../api/shapes";
import { Close, Search } from "../../parts/icons";

const VIEWS: [string, string][] = [
    ["All", ""],
    ["Open", RUN_STATUSES.filter(isOpenRun).join(",")],
    ["Waiting", "waiting,paused"],
    ["Failed", "failed"],
    ["Completed", "completed"],
    ["Stopped", "cancelled,aborted"],
];

const PAUSE_MS = 300;

/** Which runs are listed. One field: a workflow, a label as name=value, or the id of a run. */
export function Filters({ filter }: { filter: RunFilter }) {
    const navigate = useNavigate({ from: "/" });
    const stated = filter.workflow || filter.label;
    const [text, setText] = useState(stated);
    useEffect(() => setText(stated), [stated]);

    useEffect(() => {
        const wanted = text.trim();
        if (wanted === stated) return;
        const timer = setTimeout(() => {
            if (/^run_\w{6,}$/.test(wanted)) {
                void navigate({ to: "/runs/$run", params: { run: wanted }, search: {} });
                return;
            }
            const isLabel = wanted.includes("=");
            void navigate({
                search: (before) => ({
                    ...before,
                    workflow: isLabel ? undefined : wanted || undefined,
                    label: isLabel ? wanted : undefined,
                }),
                replace: true,
            });
        }, PAUSE_MS);
        return () => clearTimeout(timer);
    }, [text, stated, navigate]);

    const current = filter.status.join(",");
    return (
        <div className="filters">
            <div className="segments" role="group" aria-label="Status">
                {VIEWS.map(([name, status]) => (
                    <button
                        key={name}
                        aria-pressed={current === status}
                        onClick={() =>
                            void navigate({
                                search: (before) => ({ ...before, status: status || undefined }),
                            })
                        }
                    >
                        {name}
                    </button>
                ))}
            </div>
            <label className="search">
                <Search />
                <span className="visually-hidden">Workflow, label or run</span>
                <input
                    id="run-filter"
                    className="input"
                    placeholder="Workflow, label=value or run id"
                    value={text}
                    spellCheck={false}
                    onChange={(event) => setText(event.target.value)}
                    onKeyDown={(event) => {
                        if (event.key === "Escape") {
                            setText("");
                            event.currentTarget.blur();
                        }
                    }}
                />
                {text ? (
                    <button
                        className="button bare icon small"
                        aria-label="Clear the filter"
                        onClick={() => setText("")}
                    >
                        <Close />
                    </button>
                ) : (
                    <kbd>/</kbd>
                )}
            </label>
        </div>
    );
}
