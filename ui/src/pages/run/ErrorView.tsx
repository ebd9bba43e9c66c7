import type { ErrorRecord } from "../../api/shapes";
import { TextBlock } from "../../parts/TextBlock";
import { visible } from "../../text/visible";

/** What went wrong, why, and what to do: the three lines of every error of the house. */
export function ErrorView({ error }: { error: ErrorRecord }) {
    const head = error.title ?? error.kind ?? "";
    const text = error.detail ?? error.message ?? "";
    return (
        <div className="error-view">
            <p className="what">
                {error.code ? <code>{error.code}</code> : null}
                <strong>{visible(head)}</strong>
            </p>
            {text && text !== head ? <TextBlock text={text} label="Error" /> : null}
            {error.why ? <p>{visible(error.why)}</p> : null}
            {error.fix ? (
                <p className="fix">
                    <b>Fix</b> {visible(error.fix)}
                </p>
            ) : null}
            {error.traceback ? <TextBlock text={error.traceback} label="Traceback" /> : null}
            {error.causes?.length ? (
                <details>
                    <summary>
                        {error.causes.length === 1
                            ? "Its cause"
                            : `Its ${error.causes.length} causes`}
                    </summary>
                    {error.causes.slice(0, 20).map((cause, index) => (
                        <ErrorView key={index} error={cause} />
                    ))}
                </details>
            ) : null}
        </div>
    );
}
