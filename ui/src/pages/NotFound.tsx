import { Link } from "@tanstack/react-router";
import { Empty } from "../parts/Empty";
import { Search } from "../parts/icons";

export function NotFound() {
    return (
        <div className="card">
            <Empty icon={<Search />} title="There is no page at this address">
                The pages are <Link to="/">runs</Link>, <Link to="/approvals">approvals</Link>,{" "}
                <Link to="/workflows">workflows</Link> and <Link to="/agents">agents</Link>; a run
                has a page of its own under its id.
            </Empty>
        </div>
    );
}
