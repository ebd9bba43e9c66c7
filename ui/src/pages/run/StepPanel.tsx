import { useQuery } from "@tanstack/react-query";
import { useEffect, useRef } from "react";
import type { LiveRun } from "../../api/live-run";
import { attemptsQuery, type Attempt, explainQuery, stepQuery } from "../../api/queries";
import { isOpenStep, type Plan, type PlannedTask, type Run, type Step } from "../../api/shapes";
import { CopyButton } from "../../parts/CopyButton";
import { Close } from "../../parts/icons";
import { Status } from "../../parts/Status";
import { Json } from "../../parts/TextBlock";
import { useNow } from "../../parts/use-now";
import { ago, at, clock, count, duration, moment, money, words } from "../../text/format";
import { planPath, segments } from "../../text/paths";
import { visible } from "../../text/visible";
import { ErrorView } from "./ErrorView";
import { StepLogs } from "./LogsTab";
import { RunLink } from "./RunHeader";
import { StepVerbs } from "./Verbs";

interface StepPanelProps {
    live: LiveRun;
    step: Step;
    plan: Plan | undefined;
    onClose: () => void;
}

/** Everything known about one step. */
export function StepPanel({ live, step: known, plan, onClose }: StepPanelProps) {
    // Events say what happened, not what came out of it: that is asked for once somebody looks.
    const whole = useQuery({
        ...stepQuery(live.id, known),
        enabled: known.step_record_id !== "",
    });
    const step = { ...known, ...pickWhole(whole.data, known) };
    const isOpen = isOpenStep(step.status);
    const now = useNow(1000, isOpen);
    const box = useRef<HTMLElement>(null);
    useEffect(() => box.current?.scrollTo(0, 0), [step.path]);
    const task = plan ? taskAt(plan.tasks, planPath(step.path)) : undefined;
    const start = at(step.started_at);
    const end = at(step.ended_at);
    const wake = at(step.wake_at);
    const run = live.run;
    return (
        <aside className="card step-panel" aria-label={`Step ${step.path}`} ref={box}>
            <header>
                <div className="step-name">
                    <h2>{visible(segments(step.path).at(-1)?.name ?? step.path)}</h2>
                    {step.path.includes("/") || step.path.includes("[") ? (
                        <p className="mono quiet">{visible(step.path)}</p>
                    ) : null}
                </div>
                <button
                    className="button bare icon small"
                    onClick={onClose}
                    aria-label="Close the step"
                >
                    <Close />
                </button>
            </header>
            <div className="step-body">
                <div className="step-state">
                    <Status status={step.status} reason={step.reason} isPill />
                    <StepVerbs live={live} step={step} />
                </div>
                {run && isOpen ? <StepWhy run={run} step={step} /> : null}
                <dl className="step-facts number">
                    {task?.uses ? <Fact name="Uses">{<code>{task.uses}</code>}</Fact> : null}
                    <Fact name="Kind">{words(step.kind)}</Fact>
                    {task?.notes.length ? (
                        <Fact name="Planned">{task.notes.join("; ")}</Fact>
                    ) : null}
                    {start !== null ? <Fact name="Started">{moment(start, true)}</Fact> : null}
                    {start !== null ? (
                        <Fact name={end === null ? "Running for" : "Took"}>
                            {duration((end ?? now) - start)}
                        </Fact>
                    ) : null}
                    {wake !== null && isOpen ? <Fact name="Wakes">{ago(wake, now)}</Fact> : null}
                    {step.items ? (
                        <Fact name="Items">
                            {count(step.items_done ?? 0)} of {count(step.items)} done
                            {step.items_failed ? `, ${count(step.items_failed)} failed` : ""}
                        </Fact>
                    ) : null}
                    <Fact name="Attempts">
                        {step.attempts ?? 0}
                        {step.recoveries ? `, ${step.recoveries} lost with a process` : ""}
                    </Fact>
                    {step.cost_usd ? <Fact name="Cost">{money(step.cost_usd)}</Fact> : null}
                    {step.child_run_id ? (
                        <Fact name="Child run">
                            <RunLink run={step.child_run_id} />
                        </Fact>
                    ) : null}
                    <Fact name="Record">
                        <code>{step.step_record_id}</code>
                        <CopyButton text={step.step_record_id} what="step record id" />
                    </Fact>
                </dl>
                {step.error ? (
                    <section>
                        <h3>Error</h3>
                        <ErrorView error={step.error} />
                    </section>
                ) : null}
                {step.input !== undefined && step.input !== null ? (
                    <section>
                        <h3>Input</h3>
                        <Json value={step.input} label="Input of the step" />
                    </section>
                ) : null}
                {step.output !== undefined && step.output !== null ? (
                    <section>
                        <h3>Output</h3>
                        <Json value={step.output} label="Output of the step" />
                    </section>
                ) : null}
                <Attempts live={live} step={step} />
                {run ? (
                    <section>
                        <h3>Logs</h3>
                        <StepLogs run={run} step={step.path} />
                    </section>
                ) : null}
            </div>
        </aside>
    );
}

function Fact({ name, children }: { name: string; children: React.ReactNode }) {
    return (
        <>
            <dt>{name}</dt>
            <dd>{children}</dd>
        </>
    );
}

function pickWhole(whole: Step | undefined, known: Step): Partial<Step> {
    const isSame = whole?.step_record_id === known.step_record_id && whole.status === known.status;
    return isSame ? whole : {};
}

/** Why this step has not ended. */
function StepWhy({ run, step }: { run: Run; step: Step }) {
    const query = useQuery(explainQuery(run.run_id, run.seq, true));
    const told = query.data?.steps?.find((each) => each.step === step.path);
    if (!told) return null;
    return (
        <div className="step-why">
            <p>{visible(told.sentence)}</p>
            {told.holder ? <p className="quiet">Held by {visible(told.holder)}.</p> : null}
        </div>
    );
}

function Attempts({ live, step }: { live: LiveRun; step: Step }) {
    const query = useQuery(
        attemptsQuery(live.id, step.path, `${step.status}.${step.attempts ?? 0}`),
    );
    const attempts = query.data ?? [];
    const isWorth = attempts.length > 1 || attempts.some((each) => each.text);
    if (!isWorth) return null;
    return (
        <section>
            <h3>Attempts</h3>
            <ol className="attempts-list">
                {attempts.map((each) => (
                    <AttemptRow key={each.number} attempt={each} />
                ))}
            </ol>
        </section>
    );
}

function AttemptRow({ attempt }: { attempt: Attempt }) {
    const start = at(attempt.started);
    const end = at(attempt.ended);
    return (
        <li>
            <span className="number quiet">{attempt.number}</span>
            <Status status={attempt.status} />
            <span className="number quiet">
                {start === null ? "" : clock(start, true)}
                {start !== null && end !== null ? ` · ${duration(end - start)}` : ""}
            </span>
            {attempt.text ? <p>{visible(attempt.text)}</p> : null}
        </li>
    );
}

function taskAt(tasks: PlannedTask[], path: string): PlannedTask | undefined {
    const [name = "", ...rest] = path.split("/");
    const found = tasks.find((task) => task.name === name);
    return rest.length && found ? taskAt(found.tasks ?? [], rest.join("/")) : found;
}
