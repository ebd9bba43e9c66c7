import { useQuery } from "@tanstack/react-query";
import type { LiveRun } from "../../api/live-run";
import { costQuery } from "../../api/queries";
import type { Charge } from "../../api/shapes";
import { Empty } from "../../parts/Empty";
import { Check } from "../../parts/icons";
import { count, money } from "../../text/format";
import { visible } from "../../text/visible";

interface CostTabProps {
    live: LiveRun;
    version: number;
    onChoose: (step: string) => void;
}

const ROWS_MAX = 200;

/** Where the money went: the steps that cost something, dearest first. */
export function CostTab({ live, onChoose }: CostTabProps) {
    const run = live.run;
    const cost = useQuery({ ...costQuery(live.id, run?.model_calls ?? 0), enabled: run !== null });
    if (!run) return null;
    const dear = [...live.steps.values()]
        .filter((step) => (step.cost_usd ?? 0) > 0)
        .sort((a, b) => (b.cost_usd ?? 0) - (a.cost_usd ?? 0));
    if (!dear.length) {
        return (
            <Empty icon={<Check />} title={`${money(run.cost_usd)} spent`}>
                No step of this run has cost anything. Where no model is configured, agents answer
                by their rules, and cost nothing.
            </Empty>
        );
    }
    const most = dear[0]?.cost_usd ?? 1;
    const models = byModel(cost.data?.items ?? []);
    return (
        <div className="cost-tab">
            <dl className="run-facts">
                <div>
                    <dt>Spent</dt>
                    <dd>{money(run.cost_usd)}</dd>
                </div>
                <div>
                    <dt>Tokens</dt>
                    <dd>{count(run.tokens)}</dd>
                </div>
                <div>
                    <dt>Requests</dt>
                    <dd>{count(run.model_calls)}</dd>
                </div>
                {run.is_cost_estimated ? (
                    <div>
                        <dt>Certainty</dt>
                        <dd>partly estimated: a provider did not say what it billed</dd>
                    </div>
                ) : null}
            </dl>
            {models.length ? (
                <table>
                    <thead>
                        <tr>
                            <th>Model</th>
                            <th className="end">Requests</th>
                            <th className="end">Tokens in</th>
                            <th className="end">Tokens out</th>
                            <th className="end">Cost</th>
                        </tr>
                    </thead>
                    <tbody>
                        {models.map((each) => (
                            <tr key={each.model}>
                                <td>{visible(each.model)}</td>
                                <td className="end number">{count(each.requests)}</td>
                                <td className="end number">{count(each.input)}</td>
                                <td className="end number">{count(each.output)}</td>
                                <td className="end number">{money(each.cost)}</td>
                            </tr>
                        ))}
                    </tbody>
                </table>
            ) : null}
            <table className="by-step">
                <thead>
                    <tr>
                        <th>Step</th>
                        <th className="end">Cost</th>
                        <th>
                            <span className="visually-hidden">Share</span>
                        </th>
                    </tr>
                </thead>
                <tbody>
                    {dear.slice(0, ROWS_MAX).map((step) => (
                        <tr key={step.path}>
                            <td>
                                <button className="as-link" onClick={() => onChoose(step.path)}>
                                    {visible(step.path)}
                                </button>
                            </td>
                            <td className="end number">{money(step.cost_usd)}</td>
                            <td aria-hidden="true">
                                <i style={{ width: `${((step.cost_usd ?? 0) / most) * 100}%` }} />
                            </td>
                        </tr>
                    ))}
                </tbody>
            </table>
            {dear.length > ROWS_MAX ? (
                <p className="quiet">and {count(dear.length - ROWS_MAX)} more steps</p>
            ) : null}
        </div>
    );
}

interface ModelCost {
    model: string;
    requests: number;
    input: number;
    output: number;
    cost: number;
}

function byModel(charges: Charge[]): ModelCost[] {
    const found = new Map<string, ModelCost>();
    for (const { provider, model, input, output, cost_usd: cost } of charges) {
        const name = provider ? `${provider}/${model}` : model;
        const sum = found.get(name) ?? { model: name, requests: 0, input: 0, output: 0, cost: 0 };
        sum.requests += 1;
        sum.input += input;
        sum.output += output;
        sum.cost += cost;
        found.set(name, sum);
    }
    return [...found.values()].sort((a, b) => b.cost - a.cost);
}
