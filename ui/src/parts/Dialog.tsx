import { type FormEvent, type ReactNode, useEffect, useId, useRef } from "react";

interface DialogProps {
    title: string;
    action: string;
    isDanger?: boolean;
    isBusy?: boolean;
    isDisabled?: boolean;
    /** Asks nothing: one button is enough. */
    isNotice?: boolean;
    onClose: () => void;
    onConfirm: () => void;
    children?: ReactNode;
}

/** A question before something happens; the browser keeps the focus inside and Esc leaves. */
export function Dialog(props: DialogProps) {
    const { title, action, isDanger, isBusy, isDisabled, isNotice } = props;
    const { onClose, onConfirm, children } = props;
    const box = useRef<HTMLDialogElement>(null);
    const heading = useId();
    useEffect(() => {
        const dialog = box.current;
        dialog?.showModal();
        return () => dialog?.close();
    }, []);
    const submit = (event: FormEvent) => {
        event.preventDefault();
        if (!isBusy && !isDisabled) onConfirm();
    };
    return (
        <dialog
            ref={box}
            aria-labelledby={heading}
            onCancel={(event) => {
                event.preventDefault();
                onClose();
            }}
        >
            <form onSubmit={submit}>
                <h2 id={heading}>{title}</h2>
                {children}
                <div className="actions">
                    {isNotice ? null : (
                        <button type="button" className="button" onClick={onClose}>
                            Back
                        </button>
                    )}
                    <button
                        type="submit"
                        className={isDanger ? "button danger filled" : "button primary"}
                        disabled={isBusy || isDisabled}
                    >
                        {isBusy ? "One moment…" : action}
                    </button>
                </div>
            </form>
        </dialog>
    );
}
