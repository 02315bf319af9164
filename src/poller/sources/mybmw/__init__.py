"""The MyBMW app's API: settings, login, calls, what the answers mean."""
