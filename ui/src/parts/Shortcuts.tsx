import { Dialog } from "./Dialog";
import "../styles/shortcuts.css";

const GROUPS: [string, [string[], string][]][] = [
    [
        "Everywhere",
        [
            [["g", "h"], "runs"],
            [["g", "i"], "approvals"],
            [["g", "w"], "workflows"],
            [["?"], "this list"],
        ],
    ],
    [
        "Lists",
        [
            [["j"], "next"],
            [["k"], "previous"],
            [["Enter"], "open"],
            [["x"], "select a run"],
            [["/"], "filter"],
        ],
    ],
    [
        "Approvals",
        [
            [["a"], "approve"],
            [["r"], "reject"],
            [["e"], "edit, then approve"],
        ],
    ],
    [
        "Run",
        [
            [["1"], "to 6: the tabs"],
            [["Esc"], "close the step"],
        ],
    ],
];

export function ShortcutsDialog({ onClose }: { onClose: () => void }) {
    return (
        <Dialog
            title="Keyboard shortcuts"
            action="Close"
            isNotice
            onClose={onClose}
            onConfirm={onClose}
        >
            <div className="shortcuts">
                {GROUPS.map(([title, rows]) => (
                    <section key={title}>
                        <h3>{title}</h3>
                        <dl>
                            {rows.map(([keys, meaning]) => (
                                <div key={meaning}>
                                    <dt>
                                        {keys.map((each) => (
                                            <kbd key={each}>{each}</kbd>
                                        ))}
                                    </dt>
                                    <dd>{meaning}</dd>
                                </div>
                            ))}
                        </dl>
                    </section>
                ))}
            </div>
        </Dialog>
    );
}
