"""Who may: roles and their permissions, tokens, and the policy that every list and read goes through.

Pure values and functions. What keeps tokens and sessions is `madang.hub.tokens`; randomness and time are passed in.
"""
