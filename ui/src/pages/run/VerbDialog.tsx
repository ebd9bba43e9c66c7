import { useQueryClient } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { useState } from "react";
import type { LiveRun } from "../../api/live-run";
import { act, outdated, sendSignal } from "../../api/queries";
import type { Step } from "../../api/shapes";
import { Dialog } from "../../parts/Dialog";
import { visible } from "../../text/visible";
import { canBeSkipped, type Field, type Verb } from "./verb-table";

interface VerbDialogProps {
    verb: Verb;
    live: LiveRun;
    /** Chosen beforehand. */
    step?: Step;
    onClose: () => void;
    onRefused: (error: unknown) => void;
}

/** Asks what a verb needs to know, sends it, and hands back a refusal. */
export function VerbDialog({ verb, live, step, onClose, onRefused }: VerbDialogProps) {
    const client = useQueryClient();
    const navigate = useNavigate();
    const [values, setValues] = useState<Partial<Record<Field, string>>>({
        failed: step?.step_record_id,
    });
    const [isBusy, setBusy] = useState(false);
    const fits = verb.name === "skip" ? canBeSkipped : (it: Step) => it.status === "failed";
    const failed = [...live.steps.values()].filter(
        (it) => fits(it) && !live.children.get(it.path)?.length,
    );
    const has = (field: Field) => verb.fields.includes(field);
    const set = (field: Field) => (event: { target: { value: string } }) =>
        setValues({ ...values, [field]: event.target.value });
    const wrong = (["output", "payload", "changes"] as const).find(
        (field) => has(field) && !isJson(values[field] ?? ""),
    );
    const isDisabled = wrong !== undefined || (has("signal") && !values.signal?.trim());

    const perform = async () => {
        setBusy(true);
        try {
            if (verb.name === "signal") {
                await sendSignal(live.id, values.signal?.trim() ?? "", json(values.payload));
            } else {
                const told = await act(live.id, verb.name, bodyOf(verb, values, live));
                if (verb.isNewRun) {
                    void navigate({ to: "/runs/$run", params: { run: told.run_id }, search: {} });
                }
            }
            onClose();
            await outdated(client);
            await live.load();
        } catch (error) {
            onRefused(error);
            await live.load();
        } finally {
            setBusy(false);
        }
    };

    return (
        <Dialog
            title={`${verb.title}: ${visible(live.run?.workflow ?? "")}`}
            action={verb.title}
            isDanger={verb.isDanger}
            isBusy={isBusy}
            isDisabled={isDisabled}
            onClose={onClose}
            onConfirm={() => void perform()}
        >
            <p>{verb.says}</p>
            {has("failed") ? (
                <label className="field">
                    <span>Step</span>
                    <select value={values.failed ?? ""} onChange={set("failed")}>
                        <option value="">
                            {verb.name === "retry"
                                ? `All that failed (${failed.length})`
                                : "The one that failed"}
                        </option>
                        {failed.slice(0, 500).map((it) => (
                            <option key={it.path} value={it.step_record_id}>
                                {visible(it.path)}
                            </option>
                        ))}
                    </select>
                </label>
            ) : null}
            {has("output") ? (
                <JsonField
                    name="Output to take instead"
                    value={values.output}
                    onChange={set("output")}
                />
            ) : null}
            {has("signal") ? (
                <label className="field">
                    <span>Name</span>
                    <input className="input" value={values.signal ?? ""} onChange={set("signal")} />
                </label>
            ) : null}
            {has("payload") ? (
                <JsonField name="Payload" value={values.payload} onChange={set("payload")} />
            ) : null}
            {has("from") ? (
                <label className="field">
                    <span>From step</span>
                    <select value={values.from ?? ""} onChange={set("from")}>
                        <option value="">The start</option>
                        {(live.children.get("") ?? []).slice(0, 500).map((path) => (
                            <option key={path} value={path}>
                                {visible(path)}
                            </option>
                        ))}
                    </select>
                </label>
            ) : null}
            {has("changes") ? (
                <JsonField
                    name="Changes of the input"
                    hint='Merged into the old input, such as {"limit": 10}.'
                    value={values.changes}
                    onChange={set("changes")}
                />
            ) : null}
            {has("version") ? (
                <label className="field">
                    <span>Version</span>
                    <input
                        className="input mono"
                        placeholder={`${live.run?.version ?? ""} (the same)`}
                        value={values.version ?? ""}
                        onChange={set("version")}
                    />
                </label>
            ) : null}
            {has("reason") ? (
                <label className="field">
                    <span>Reason</span>
                    <input
                        className="input"
                        placeholder="For whoever reads the history"
                        value={values.reason ?? ""}
                        onChange={set("reason")}
                    />
                </label>
            ) : null}
        </Dialog>
    );
}

interface JsonFieldProps {
    name: string;
    hint?: string;
    value: string | undefined;
    onChange: (event: { target: { value: string } }) => void;
}

function JsonField({ name, hint, value, onChange }: JsonFieldProps) {
    const isWrong = !isJson(value ?? "");
    return (
        <label className="field">
            <span>{name}</span>
            <textarea
                className="code"
                rows={3}
                placeholder="null"
                spellCheck={false}
                value={value ?? ""}
                aria-invalid={isWrong}
                onChange={onChange}
            />
            <small>{isWrong ? "This is no JSON yet." : (hint ?? "JSON; empty means null.")}</small>
        </label>
    );
}

function bodyOf(
    verb: Verb,
    values: Partial<Record<Field, string>>,
    live: LiveRun,
): Record<string, unknown> {
    const body: Record<string, unknown> = {};
    if (values.failed) body.step_record_id = values.failed;
    if (verb.fields.includes("output")) body.output = json(values.output);
    if (values.reason) body.reason = values.reason;
    if (values.from) body.from_step = values.from;
    if (values.changes?.trim()) body.modifications = { inputs: json(values.changes) };
    if (values.version?.trim() && values.version !== live.run?.version) {
        body.version = values.version.trim();
    }
    return body;
}

function isJson(text: string): boolean {
    try {
        json(text);
        return true;
    } catch {
        return false;
    }
}

const json = (text: string | undefined): unknown => (text?.trim() ? JSON.parse(text) : null);
