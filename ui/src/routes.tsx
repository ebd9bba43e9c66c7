/** Addresses and their pages. What is chosen stands in the address, so that a link shows it. */

import type { QueryClient } from "@tanstack/react-query";
import {
    createRootRouteWithContext,
    createRoute,
    createRouter,
    lazyRouteComponent,
} from "@tanstack/react-router";
import { RUN_STATUSES } from "./api/shapes";
import { AgentsPage } from "./pages/AgentsPage";
import { ApprovalsPage } from "./pages/approvals/ApprovalsPage";
import { NotFound } from "./pages/NotFound";
import { RunsPage } from "./pages/runs/RunsPage";
import { Shell } from "./parts/Shell";

const root = createRootRouteWithContext<{ client: QueryClient }>()({
    component: Shell,
    notFoundComponent: NotFound,
});

const text = (value: unknown): string | undefined =>
    typeof value === "string" && value ? value : undefined;

const KNOWN = new Set<string>(RUN_STATUSES);

export interface RunsSearch {
    status?: string;
    workflow?: string;
    label?: string;
}

const runs = createRoute({
    getParentRoute: () => root,
    path: "/",
    component: RunsPage,
    validateSearch: (search): RunsSearch => ({
        status:
            text(search.status)
                ?.split(",")
                .filter((each) => KNOWN.has(each))
                .join(",") || undefined,
        workflow: text(search.workflow),
        label: text(search.label),
    }),
});

export interface RunSearch {
    tab?: string;
    step?: string;
}

const run = createRoute({
    getParentRoute: () => root,
    path: "/runs/$run",
    component: lazyRouteComponent(() => import("./pages/run/RunPage"), "RunPage"),
    validateSearch: (search): RunSearch => ({ tab: text(search.tab), step: text(search.step) }),
});

export interface ApprovalsSearch {
    approval?: string;
    show?: string;
}

const approvals = createRoute({
    getParentRoute: () => root,
    path: "/approvals",
    component: ApprovalsPage,
    validateSearch: (search): ApprovalsSearch => ({
        approval: text(search.approval),
        show: text(search.show),
    }),
});

export interface WorkflowsSearch {
    workflow?: string;
}

const workflows = createRoute({
    getParentRoute: () => root,
    path: "/workflows",
    component: lazyRouteComponent(() => import("./pages/workflows/WorkflowsPage"), "WorkflowsPage"),
    validateSearch: (search): WorkflowsSearch => ({ workflow: text(search.workflow) }),
});

const agents = createRoute({
    getParentRoute: () => root,
    path: "/agents",
    component: AgentsPage,
});

export function makeRouter(client: QueryClient) {
    return createRouter({
        routeTree: root.addChildren([runs, run, approvals, workflows, agents]),
        context: { client },
        defaultPreload: "intent",
    });
}

declare module "@tanstack/react-router" {
    interface Register {
        router: ReturnType<typeof makeRouter>;
    }
}
