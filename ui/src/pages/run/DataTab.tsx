import { isOpenRun, type Run } from "../../api/shapes";
import { Json } from "../../parts/TextBlock";
import { ErrorView } from "./ErrorView";

export function DataTab({ run }: { run: Run }) {
    return (
        <div className="data-tab">
            <section>
                <h2>Input</h2>
                <Json value={run.input} label="Input" />
            </section>
            <section>
                <h2>{run.error ? "Error" : "Output"}</h2>
                {run.error ? <ErrorView error={run.error} /> : null}
                {!run.error && isOpenRun(run.status) ? (
                    <p className="quiet">There is none before the run ends.</p>
                ) : null}
                {!run.error && !isOpenRun(run.status) ? (
                    <Json value={run.output} label="Output" />
                ) : null}
            </section>
        </div>
    );
}
