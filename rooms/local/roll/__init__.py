"""``lastcall roll``: the plan, its service, the view, the report. See CONTRIBUTING.md for terms."""
