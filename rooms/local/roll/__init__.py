"""``lastcall roll``: the plan, the service that runs it, the view, the report."""
