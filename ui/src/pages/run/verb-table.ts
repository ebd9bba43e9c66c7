/** The verbs of a run: what each says it does, and what it asks for. */

import { isOpenStep, type Step } from "../../api/shapes";

export type Field =
    "reason" | "failed" | "output" | "signal" | "payload" | "from" | "changes" | "version";

export interface Verb {
    name: string;
    title: string;
    says: string;
    fields: Field[];
    isDanger?: boolean;
    /** Starts another run, in every state. */
    isNewRun?: boolean;
}

export const VERBS: Verb[] = [
    { name: "resume", title: "Resume", says: "Go on where it stopped.", fields: [] },
    {
        name: "retry",
        title: "Retry",
        says: "Runs what failed again, in this run. What has completed is kept.",
        fields: ["failed"],
    },
    {
        name: "pause",
        title: "Pause",
        says: "Starts nothing more until it is resumed. What runs now may end.",
        fields: [],
    },
    {
        name: "skip",
        title: "Skip a step",
        says: "Goes on with a value of yours in place of the step's own.",
        fields: ["failed", "output"],
    },
    {
        name: "signal",
        title: "Send a signal",
        says: "Delivered to the step that waits for it, now or later.",
        fields: ["signal", "payload"],
    },
    {
        name: "rerun",
        title: "Run again",
        says: "Starts a new run with the same input. From a step: what came before it keeps its results.",
        fields: ["from", "changes", "version"],
        isNewRun: true,
    },
    {
        name: "cancel",
        title: "Cancel",
        says: "Stops cooperatively: attempts are told to end and clean-up runs.",
        fields: ["reason"],
        isDanger: true,
    },
    {
        name: "abort",
        title: "Abort",
        says: "Stops at once, without clean-up. Use it when cancelling does not end.",
        fields: ["reason"],
        isDanger: true,
    },
];

/** A running step is left to itself: pause or cancel the run. */
export const canBeSkipped = (step: Step): boolean =>
    step.status === "failed" || (isOpenStep(step.status) && step.status !== "running");
