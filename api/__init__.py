"""The api tier: client connections and the rooms behind them. See CONTRIBUTING.md for terms."""
