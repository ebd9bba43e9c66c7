import { useEffect, useRef, useState } from "react";
import type { LiveRun } from "../../api/live-run";
import type { Step } from "../../api/shapes";
import { More } from "../../parts/icons";
import { ProblemNotice } from "../../parts/Problem";
import { canBeSkipped, type Verb, VERBS } from "./verb-table";
import { VerbDialog } from "./VerbDialog";

const IN_FRONT = new Set(["resume", "retry", "pause", "cancel"]);
const PRIMARY = new Set(["resume", "retry"]);

/** What can be done to the run now. A refusal is shown in the server's own words. */
export function Verbs({ live }: { live: LiveRun }) {
    const [verb, choose] = useState<Verb | null>(null);
    // A refusal stays until the next try, also when the run has moved on meanwhile.
    const [problem, setProblem] = useState<unknown>(null);
    const setVerb = (next: Verb | null) => {
        choose(next);
        if (next) setProblem(null);
    };
    const run = live.run;
    if (!run) return null;
    const open = VERBS.filter((each) => each.isNewRun || run.allowed.includes(each.name));
    // A closed run takes little: then what is left needs no menu.
    const isShort = open.length < 3;
    const front = open.filter((each) => isShort || IN_FRONT.has(each.name));
    const rest = open.filter((each) => !front.includes(each));
    return (
        <div className="verbs">
            <div className="row">
                {front.map((each) => (
                    <button
                        key={each.name}
                        className={
                            PRIMARY.has(each.name)
                                ? "button primary"
                                : each.isDanger
                                  ? "button danger"
                                  : "button"
                        }
                        onClick={() => setVerb(each)}
                    >
                        {each.title}
                    </button>
                ))}
                {rest.length ? <VerbMenu verbs={rest} onChoose={setVerb} /> : null}
            </div>
            {problem ? <ProblemNotice error={problem} onClose={() => setProblem(null)} /> : null}
            {verb ? (
                <VerbDialog
                    verb={verb}
                    live={live}
                    onClose={() => setVerb(null)}
                    onRefused={(error) => {
                        setVerb(null);
                        setProblem(error);
                    }}
                />
            ) : null}
        </div>
    );
}

/** The verbs for one step, where the run takes them now. */
export function StepVerbs({ live, step }: { live: LiveRun; step: Step }) {
    const [verb, choose] = useState<Verb | null>(null);
    // A refusal stays until the next try, also when the run has moved on meanwhile.
    const [problem, setProblem] = useState<unknown>(null);
    const setVerb = (next: Verb | null) => {
        choose(next);
        if (next) setProblem(null);
    };
    useEffect(() => setProblem(null), [step.path]);
    const allowed = live.run?.allowed ?? [];
    const isFailed = step.status === "failed";
    const fitting = VERBS.filter(
        ({ name }) =>
            allowed.includes(name) &&
            ((name === "retry" && isFailed) || (name === "skip" && canBeSkipped(step))),
    );
    if (!fitting.length && !problem) return null;
    return (
        <>
            <div className="row">
                {fitting.map((each) => (
                    <button key={each.name} className="button small" onClick={() => setVerb(each)}>
                        {each.name === "skip" ? "Skip" : each.title}
                    </button>
                ))}
            </div>
            {problem ? <ProblemNotice error={problem} onClose={() => setProblem(null)} /> : null}
            {verb ? (
                <VerbDialog
                    verb={verb}
                    live={live}
                    step={step}
                    onClose={() => setVerb(null)}
                    onRefused={(error) => {
                        setVerb(null);
                        setProblem(error);
                    }}
                />
            ) : null}
        </>
    );
}

function VerbMenu({ verbs, onChoose }: { verbs: Verb[]; onChoose: (verb: Verb) => void }) {
    const [isOpen, setOpen] = useState(false);
    const box = useRef<HTMLDivElement>(null);
    useEffect(() => {
        if (!isOpen) return;
        box.current?.querySelector<HTMLElement>("[role=menuitem]")?.focus();
        const leave = (event: Event) => {
            if (!box.current?.contains(event.target as globalThis.Node)) setOpen(false);
        };
        document.addEventListener("pointerdown", leave);
        return () => document.removeEventListener("pointerdown", leave);
    }, [isOpen]);
    const move = (event: React.KeyboardEvent) => {
        const items = [...(box.current?.querySelectorAll<HTMLElement>("[role=menuitem]") ?? [])];
        const here = items.indexOf(document.activeElement as HTMLElement);
        if (event.key === "Escape") {
            event.stopPropagation();
            setOpen(false);
            box.current?.querySelector<HTMLElement>("button")?.focus();
        } else if (event.key === "ArrowDown") items[(here + 1) % items.length]?.focus();
        else if (event.key === "ArrowUp") items.at(here - 1)?.focus();
        else return;
        event.preventDefault();
    };
    return (
        <div className="menu" ref={box} onKeyDown={isOpen ? move : undefined}>
            <button
                className="button icon"
                aria-label="More verbs"
                aria-haspopup="menu"
                aria-expanded={isOpen}
                onClick={() => setOpen(!isOpen)}
            >
                <More />
            </button>
            {isOpen ? (
                <div role="menu">
                    {verbs.map((each) => (
                        <button
                            key={each.name}
                            role="menuitem"
                            onClick={() => {
                                setOpen(false);
                                onChoose(each);
                            }}
                        >
                            <b>{each.title}…</b>
                            <small>{each.says}</small>
                        </button>
                    ))}
                </div>
            ) : null}
        </div>
    );
}
