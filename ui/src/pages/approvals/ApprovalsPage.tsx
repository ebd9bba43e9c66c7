import { useQuery, useQueryClient } from "@tanstack/react-query";
import { useNavigate, useSearch } from "@tanstack/react-router";
import { useEffect, useState } from "react";
import { approvalsQuery, outdated } from "../../api/queries";
import type { Approval } from "../../api/shapes";
import { Empty } from "../../parts/Empty";
import { Inbox } from "../../parts/icons";
import { ProblemNotice } from "../../parts/Problem";
import { Glyph } from "../../parts/Status";
import { useKeys } from "../../parts/use-keys";
import { useNow } from "../../parts/use-now";
import { ago, at } from "../../text/format";
import { visible } from "../../text/visible";
import "../../styles/approvals.css";
import { ApprovalView } from "./ApprovalView";

/** The inbox: what waits for a person, oldest first, and one decision at a time. */
export function ApprovalsPage() {
    const search = useSearch({ from: "/approvals" });
    const navigate = useNavigate({ from: "/approvals" });
    const client = useQueryClient();
    const isAll = search.show === "all";
    const query = useQuery(approvalsQuery(isAll ? "all" : "pending"));
    const now = useNow(10_000);
    // Here, not with the approval: once somebody else has decided, that is gone from the list.
    const [problem, setProblem] = useState<unknown>(null);
    const items = query.data?.items ?? [];
    const index = Math.max(
        0,
        items.findIndex((each) => each.approval_id === search.approval),
    );
    const current: Approval | undefined = items[index];
    const choose = (approval: Approval | undefined) =>
        void navigate({
            search: (before) => ({ ...before, approval: approval?.approval_id }),
            replace: true,
        });
    useKeys({
        j: () => choose(items[Math.min(index + 1, items.length - 1)]),
        k: () => choose(items[Math.max(index - 1, 0)]),
    });
    useEffect(() => {
        if (current) {
            document.getElementById(current.approval_id)?.scrollIntoView({ block: "nearest" });
        }
    }, [current?.approval_id]);

    const decided = async () => {
        setProblem(null);
        const next = items[index + 1] ?? items[index - 1];
        if (!isAll) choose(next);
        await outdated(client);
    };
    return (
        <div className="approvals-page">
            <div className="page-head">
                <h1>Approvals</h1>
                <p className="quiet">
                    Runs that wait for a person hold no slot, however long it takes.
                </p>
                <div className="segments" role="group" aria-label="Approvals shown">
                    <button aria-pressed={!isAll} onClick={() => void navigate({ search: {} })}>
                        Waiting
                    </button>
                    <button
                        aria-pressed={isAll}
                        onClick={() => void navigate({ search: { show: "all" } })}
                    >
                        All
                    </button>
                </div>
            </div>
            {query.isError ? <ProblemNotice error={query.error} /> : null}
            {problem ? <ProblemNotice error={problem} onClose={() => setProblem(null)} /> : null}
            {query.isPending ? <div className="card loading" aria-busy="true" /> : null}
            {query.data && !items.length ? (
                <div className="card">
                    <Empty icon={<Inbox />} title="Nobody waits for you">
                        A task with <code>checkpoint: before</code> or <code>uses: approval</code>{" "}
                        stops here and shows what it is about to do. The run goes on when somebody
                        has decided.
                    </Empty>
                </div>
            ) : null}
            {items.length ? (
                <div className="inbox">
                    <ul className="card inbox-list" aria-label="Approvals">
                        {items.map((each) => (
                            <li key={each.approval_id} id={each.approval_id}>
                                <button
                                    aria-current={each === current ? "true" : undefined}
                                    onClick={() => choose(each)}
                                >
                                    <Glyph
                                        status={
                                            each.status === "pending"
                                                ? "checkpoint_pending"
                                                : each.status
                                        }
                                    />
                                    <span className="what">
                                        <b className="clip">
                                            {visible(each.prompt || `Start ${each.path}?`)}
                                        </b>
                                        <span className="quiet clip">
                                            {visible(each.path)} · {each.run_id}
                                        </span>
                                    </span>
                                    <span className="quiet number when">
                                        {ago(at(each.created_at), now)}
                                    </span>
                                </button>
                            </li>
                        ))}
                    </ul>
                    {current ? (
                        <ApprovalView
                            key={current.approval_id}
                            approval={current}
                            onDecided={() => void decided()}
                            onRefused={setProblem}
                        />
                    ) : null}
                </div>
            ) : null}
        </div>
    );
}
