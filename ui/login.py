"""Who may come in, on a server that others reach: people say who they are at an OpenID Connect provider."""

import os

import streamlit as st
from streamlit.errors import StreamlitAuthError

from ui.session import plain

USERS = "TFBIND_USERS"


def login() -> bool:
    """Whether the app may be shown: to those whose e-mail addresses stand in `TFBIND_USERS`, separated by commas.

    Where that is not set, nobody has to log in. Whoever may not come in is shown how to log in, or out.
    """
    users = os.environ.get(USERS)
    if users is None:
        return True
    allowed = {user.strip().lower() for user in users.split(",")} - {""}
    email = str(st.user.get("email") or "").lower()
    if st.user.get("is_logged_in") and st.user.get("email_verified", True) and email in allowed:
        st.sidebar.button("Log out", icon=":material/logout:", help=plain(email), on_click=st.logout)
        return True
    st.title("tfbind", anchor=False)
    if st.user.get("is_logged_in"):
        st.error(
            plain(f"{email or 'An account without an e-mail address'} may not use this app: {USERS} says who may.")
        )
        st.button("Log out", on_click=st.logout)
    elif st.button("Log in", type="primary", icon=":material/login:"):
        try:
            st.login()
        except StreamlitAuthError as error:
            st.error(plain(f"{error} README's section on security says how a login is set up."))
    return False
