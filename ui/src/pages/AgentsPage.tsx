import { useQuery } from "@tanstack/react-query";
import { agentsQuery } from "../api/queries";
import { Empty } from "../parts/Empty";
import { Person } from "../parts/icons";
import { ProblemNotice } from "../parts/Problem";
import { plural } from "../text/format";
import { visible } from "../text/visible";
import "../styles/agents.css";

/** The agents that every definition may name, and whether a model or rules answer for them. */
export function AgentsPage() {
    const query = useQuery(agentsQuery);
    const items = query.data?.items ?? [];
    return (
        <div>
            <div className="page-head">
                <h1>Agents</h1>
                {items.length ? <p className="quiet">{plural(items.length, "agent")}</p> : null}
            </div>
            {query.isError ? <ProblemNotice error={query.error} /> : null}
            {query.isPending ? <div className="card loading" aria-busy="true" /> : null}
            {query.data && !items.length ? (
                <div className="card">
                    <Empty icon={<Person />} title="No shared agent is declared">
                        Agents under <code>agents:</code> in podium.yaml can be named by every
                        definition as <code>agent:slug</code>. Agents of one workflow stand in its
                        own definition.
                    </Empty>
                </div>
            ) : null}
            {items.length ? (
                <div className="card agents" tabIndex={0} role="region" aria-label="Agents">
                    <table>
                        <thead>
                            <tr>
                                <th>Agent</th>
                                <th>Answers by</th>
                                <th>Model</th>
                                <th>Tools</th>
                            </tr>
                        </thead>
                        <tbody>
                            {items.map((each) => (
                                <tr key={each.slug}>
                                    <td>
                                        <b>{visible(each.slug)}</b>
                                        <p className="quiet">{visible(each.description)}</p>
                                    </td>
                                    <td>
                                        <span
                                            className="status"
                                            data-tone={each.mode === "rules" ? "wait" : "good"}
                                        >
                                            mode: {visible(each.mode)}
                                        </span>
                                    </td>
                                    <td className="mono">{visible(each.model || "–")}</td>
                                    <td className="mono">
                                        {visible(each.tools.join(", ") || "–")}
                                    </td>
                                </tr>
                            ))}
                        </tbody>
                    </table>
                </div>
            ) : null}
        </div>
    );
}
