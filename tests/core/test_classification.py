from core.classification import (
    CLASSIFICATION,
    Category,
    Erasure,
    Export,
    Scope,
    Subject,
    columns_of,
    exported_columns,
)


def test_a_table_is_classified_once() -> None:
    names = [str(table) for table in CLASSIFICATION]
    assert len(set(names)) == len(names)


def test_no_credential_hash_or_secret_is_exported() -> None:
    telling = ("hash", "secret", "hmac", "salt", "totp_last_step")
    exported = {
        f"{table}.{name}"
        for table, columns in CLASSIFICATION.items()
        for name, column in columns.items()
        if column.export is Export.YES
        and column.category is Category.CREDENTIAL
        and any(word in name for word in telling)
    }
    assert exported == set()


def test_all_that_names_a_person_is_erased_with_that_person() -> None:
    kept = {
        f"{table}.{name}"
        for table, columns in CLASSIFICATION.items()
        for name, column in columns.items()
        if column.subject is Subject.PERSON
        and column.category in {Category.IDENTITY, Category.CONTACT, Category.CREDENTIAL}
        and column.erasure is Erasure.KEEP
    }
    assert kept == set()


def test_the_columns_of_an_export_leave_the_secrets_out() -> None:
    assert set(columns_of(Scope.TENANT, "users")) - set(exported_columns(Scope.TENANT, "users")) == {
        "password_hash",
        "totp_secret",
        "totp_confirmed_at",
        "totp_last_step",
    }
    assert exported_columns(Scope.TENANT, "schema_migrations") == ()
